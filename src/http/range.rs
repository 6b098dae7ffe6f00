//! Files with byte ranges (RFC 9110 §14), one range a request, as players ask for them.

use std::io::SeekFrom;
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::error::ApiError;

/// Bytes of a file to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// First and last byte.
    Part(u64, u64),
    /// No byte of the file was asked for: 416.
    Nothing,
}

/// Answers with the file, or the part that the request asks for.
pub async fn serve(path: &Path, kind: &'static str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let gone = || ApiError::not_found("file.gone", "The file is not there any more.");
    let mut file = File::open(path).await.map_err(|error| {
        tracing::warn!(path = %path.display(), %error, "a file of the store cannot be opened");
        gone()
    })?;
    let length = file.metadata().await.map_err(|_| gone())?.len();
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let (first, last, status) = match wanted(asked, length) {
        Wanted::Whole => (0, length.saturating_sub(1), StatusCode::OK),
        Wanted::Part(first, last) => (first, last, StatusCode::PARTIAL_CONTENT),
        Wanted::Nothing => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{length}"));
            return Ok(response);
        }
    };
    file.seek(SeekFrom::Start(first)).await.map_err(ApiError::internal)?;
    let bytes = if length == 0 { 0 } else { last - first + 1 };
    let mut response = (status, Body::from_stream(chunks(file, bytes))).into_response();
    set(&mut response, header::CONTENT_TYPE, kind);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::CONTENT_LENGTH, &bytes.to_string());
    // What people said stays out of shared caches.
    set(&mut response, header::CACHE_CONTROL, "private, no-store");
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut response, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{length}"));
    }
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn chunks(file: File, bytes: u64) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold((file.take(bytes), bytes), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES)];
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
    })
}

/// Reads a `Range` header. What is no single byte range is ignored, as RFC 9110 §14.2 allows.
pub fn wanted(range: Option<&str>, length: u64) -> Wanted {
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Wanted::Whole;
    };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        // Several ranges, or no range at all.
        (Ok(_), Err(_)) if !last.trim().is_empty() => Wanted::Whole,
        (Ok(first), Ok(last)) if first <= last && first < length => Wanted::Part(first, last.min(length - 1)),
        (Ok(first), Err(_)) if last.trim().is_empty() && first < length => Wanted::Part(first, length - 1),
        // The last so many bytes.
        (Err(_), Ok(suffix)) if first.trim().is_empty() && suffix > 0 && length > 0 => {
            Wanted::Part(length.saturating_sub(suffix), length - 1)
        }
        (Ok(first), Ok(last)) if first > last => Wanted::Whole,
        (Ok(_), _) | (_, Ok(0)) => Wanted::Nothing,
        (_, Ok(_)) if length == 0 => Wanted::Nothing,
        _ => Wanted::Whole,
    }
}

const CHUNK_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_ask_for_parts_in_three_ways() {
        assert_eq!(wanted(None, 100), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 100), Wanted::Part(0, 99));
        assert_eq!(wanted(Some("bytes=10-19"), 100), Wanted::Part(10, 19));
        assert_eq!(wanted(Some("bytes=90-200"), 100), Wanted::Part(90, 99));
        assert_eq!(wanted(Some("bytes=-10"), 100), Wanted::Part(90, 99));
        assert_eq!(wanted(Some("bytes=-200"), 100), Wanted::Part(0, 99));
    }

    #[test]
    fn what_cannot_be_satisfied_is_refused_and_what_is_odd_is_ignored() {
        assert_eq!(wanted(Some("bytes=100-"), 100), Wanted::Nothing);
        assert_eq!(wanted(Some("bytes=-0"), 100), Wanted::Nothing);
        assert_eq!(wanted(Some("bytes=0-0"), 0), Wanted::Nothing);
        for odd in ["bytes=20-10", "lines=1-2", "bytes=a-b", "bytes=1-2,5-6"] {
            assert_eq!(wanted(Some(odd), 100), Wanted::Whole, "{odd}");
        }
    }
}
