//! The few things the ledger asks of a directory, so that a simulated one can lose, tear, fill up and stall.
//!
//! The promises are those of ext4 and XFS as the crash tests model them: written bytes may be lost or torn until
//! `sync` returned, a created or renamed name may be lost until `sync_names` returned.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// One directory of files with plain names.
pub trait Disk: Send + Sync {
    /// The names in the directory, sorted.
    fn names(&self) -> io::Result<Vec<String>>;

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Makes a file of `bytes` zeros whose room is truly reserved, replacing one of that name.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn DiskFile>>;

    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes created, renamed and removed names durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file, read and written at offsets.
pub trait DiskFile: Send {
    fn bytes(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`; returns less than its length only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes written bytes durable: fdatasync.
    fn sync(&mut self) -> io::Result<()>;

    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
}

/// How much room folders must have left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// Folders on disks that may differ. One that is missing is where it will be made.
    pub folders: Vec<PathBuf>,
    pub bytes: u64,
}

impl Floor {
    /// The folder with less room, and how many bytes it has. A disk that does not tell has enough.
    pub fn lacking(&self) -> Option<(&Path, u64)> {
        self.folders.iter().find_map(|folder| {
            let mut nearest = folder.ancestors().map(|place| if place == "" { Path::new(".") } else { place });
            let disk = nearest.find_map(|place| statvfs(place).ok())?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            (free < self.bytes).then_some((folder.as_path(), free))
        })
    }
}

/// A real directory, held by one process at a time.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Held for its advisory lock, which the kernel drops with the process however it ends.
    lock: Option<File>,
}

impl Directory {
    /// Makes the directory if it is missing and takes its lock. `WouldBlock` where another process holds it.
    pub fn lock(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_NAME))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The directory for reading only, beside whoever writes it.
    pub fn beside(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), lock: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process holds the directory.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

impl Disk for Directory {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            names.extend(name.to_str().filter(|name| *name != LOCK_NAME).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(self.is_locked()).open(path)?;
        Ok(Box::new(OsFile { file }))
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
        Ok(Box::new(OsFile { file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

struct OsFile {
    file: File,
}

impl DiskFile for OsFile {
    fn bytes(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}

const LOCK_NAME: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_while_the_first_lives() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::lock(dir.path()).unwrap();
        assert_eq!(Directory::lock(dir.path()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(first);
        assert!(Directory::lock(dir.path()).unwrap().is_locked());
    }

    #[test]
    fn a_created_file_is_zeros_of_the_asked_length() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Directory::lock(dir.path()).unwrap();
        let mut file = disk.create("a", 4096).unwrap();
        file.write_at(b"tail", 4092).unwrap();
        let mut read = [1; 10];
        assert_eq!(disk.open("a").unwrap().read_at(&mut read, 4088).unwrap(), 8);
        assert_eq!(&read[..8], b"\0\0\0\0tail");
        assert_eq!((file.bytes().unwrap(), disk.names().unwrap()), (4096, vec!["a".to_owned()]));
    }
}
