//! The view's keys, and how it catches up with the ledger.
//!
//! ```text
//! c/{day}/{call}           call record (day: days since 1970, UTC, five digits)
//! x/{interaction}          interaction
//! i/num/{e164}/{ulid}      index: interactions by the far side's number     value: key of the row
//! i/agent/{user}/{ulid}    index: interactions by agent
//! i/cust/{customer}/{ulid} index: interactions by customer
//! i/phone/{e164}/{customer} index: customers by phone (several may share one)
//! k/{customer}             customer's card
//! u/{user}  g/{user}  a/{account}     user, agent profile, SIP account
//! r/{account}/{instance}   registration
//! f/{recording}            recording
//! v/{box}/{voicemail}      voicemail
//! ```
//!
//! ULIDs sort by time, so a reversed range is "newest first". Free text never stands in a key: a slash in it would
//! move the row.

use super::{Fold, Ledger, LedgerError, Row, RowChange, Seq, View, ViewError};
use crate::ids::{AccountName, CallId, CustomerId, InteractionId, RecordingId, UserName, VoicemailId};
use crate::limits::store as limits;
use crate::time::Time;

/// Makes keys. Each returns the bytes of one row's key, or of the prefix that its name says.
pub mod key {
    use super::*;

    pub fn call(started: Time, id: CallId) -> Vec<u8> {
        format!("c/{:05}/{id}", started.as_secs() / 86_400).into_bytes()
    }

    pub fn calls_of_day(day: Time) -> Vec<u8> {
        format!("c/{:05}/", day.as_secs() / 86_400).into_bytes()
    }

    pub fn calls() -> Vec<u8> {
        b"c/".to_vec()
    }

    pub fn interaction(id: InteractionId) -> Vec<u8> {
        format!("x/{id}").into_bytes()
    }

    pub fn by_number(number: &str, id: InteractionId) -> Vec<u8> {
        format!("i/num/{}/{id}", part(number)).into_bytes()
    }

    pub fn of_number(number: &str) -> Vec<u8> {
        format!("i/num/{}/", part(number)).into_bytes()
    }

    pub fn by_agent(agent: &UserName, id: InteractionId) -> Vec<u8> {
        format!("i/agent/{}/{id}", part(agent.as_str())).into_bytes()
    }

    pub fn of_agent(agent: &UserName) -> Vec<u8> {
        format!("i/agent/{}/", part(agent.as_str())).into_bytes()
    }

    pub fn by_customer(customer: CustomerId, id: InteractionId) -> Vec<u8> {
        format!("i/cust/{customer}/{id}").into_bytes()
    }

    pub fn of_customer(customer: CustomerId) -> Vec<u8> {
        format!("i/cust/{customer}/").into_bytes()
    }

    pub fn customer(id: CustomerId) -> Vec<u8> {
        format!("k/{id}").into_bytes()
    }

    pub fn customers() -> Vec<u8> {
        b"k/".to_vec()
    }

    pub fn customer_by_phone(phone: &str, id: CustomerId) -> Vec<u8> {
        format!("i/phone/{}/{id}", part(phone)).into_bytes()
    }

    pub fn customers_of_phone(phone: &str) -> Vec<u8> {
        format!("i/phone/{}/", part(phone)).into_bytes()
    }

    pub fn user(name: &UserName) -> Vec<u8> {
        format!("u/{}", part(name.as_str())).into_bytes()
    }

    pub fn users() -> Vec<u8> {
        b"u/".to_vec()
    }

    pub fn agent(user: &UserName) -> Vec<u8> {
        format!("g/{}", part(user.as_str())).into_bytes()
    }

    pub fn agents() -> Vec<u8> {
        b"g/".to_vec()
    }

    pub fn account(name: &AccountName) -> Vec<u8> {
        format!("a/{}", part(name.as_str())).into_bytes()
    }

    pub fn accounts() -> Vec<u8> {
        b"a/".to_vec()
    }

    pub fn registration(account: &AccountName, instance: &str) -> Vec<u8> {
        format!("r/{}/{}", part(account.as_str()), part(instance)).into_bytes()
    }

    pub fn registrations() -> Vec<u8> {
        b"r/".to_vec()
    }

    pub fn recording(id: RecordingId) -> Vec<u8> {
        format!("f/{id}").into_bytes()
    }

    pub fn recordings() -> Vec<u8> {
        b"f/".to_vec()
    }

    pub fn voicemail(mailbox: &str, id: VoicemailId) -> Vec<u8> {
        format!("v/{}/{id}", part(mailbox)).into_bytes()
    }

    pub fn all_voicemails() -> Vec<u8> {
        b"v/".to_vec()
    }

    pub fn voicemails(mailbox: &str) -> Vec<u8> {
        format!("v/{}/", part(mailbox)).into_bytes()
    }

    /// Text as one part of a key: a slash, a percent sign and control characters are written as `%2F`.
    fn part(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '/' | '%' | '\0'..='\x1f' | '\x7f' => out.push_str(&format!("%{:02X}", u32::from(c))),
                c => out.push(c),
            }
        }
        out
    }
}

/// Rows of `records` folded one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaughtUp {
    /// Records that were folded now.
    pub records: u64,
    pub position: Seq,
    /// The view was empty, or made by another version of the fold, and was built anew.
    pub rebuilt: bool,
}

/// Folds into `view` whatever the ledger has beyond its position. A view of another fold version, or one ahead of
/// the ledger (restored from elsewhere), is built anew. The fold begins with what the view has, whatever it
/// remembered before: rows that a failed write lost are folded as if for the first time.
///
/// `progress` hears of every [`CATCH_UP_RECORDS`] records.
pub fn catch_up(
    ledger: &dyn Ledger,
    view: &dyn View,
    fold: &dyn Fold,
    mut progress: impl FnMut(Seq),
) -> Result<CaughtUp, StoreError> {
    let stale = view.fold_version()? != Some(fold.version()) || view.position()? >= ledger.next_seq();
    if stale {
        view.reset(fold.version())?;
    }
    fold.resume(view)?;
    let mut tail = ledger.read(view.position()?.next())?;
    let mut rows = Vec::new();
    let (mut records, mut pending) = (0, 0);
    let mut last = view.position()?;
    while let Some(record) = tail.next()? {
        rows.extend(fold_rows(fold, view, record.seq, &record.payload));
        last = record.seq;
        (records, pending) = (records + 1, pending + 1);
        if pending >= CATCH_UP_RECORDS {
            view.apply(last, &rows)?;
            rows.clear();
            pending = 0;
            progress(last);
        }
    }
    view.apply(last, &rows)?;
    view.checkpoint()?;
    Ok(CaughtUp { records, position: last, rebuilt: stale })
}

/// The ledger or the view failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    View(#[from] ViewError),
}

/// The rows of one record, without those over the limit: one record must never keep the view from opening.
pub fn fold_rows(fold: &dyn Fold, view: &dyn View, seq: Seq, payload: &[u8]) -> Vec<RowChange> {
    let mut rows = fold.rows(view, seq, payload);
    rows.retain(|row| {
        let checked = check_rows(core::slice::from_ref(row));
        if let Err(error) = &checked {
            tracing::error!(%seq, %error, "a row of this record is left out of the view");
        }
        checked.is_ok()
    });
    rows
}

/// All rows under a prefix, in key order, read a page at a time.
pub fn every_row(view: &dyn View, prefix: &[u8], mut take: impl FnMut(Row)) -> Result<(), ViewError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = view.range(prefix, after.as_deref(), limits::VIEW_PAGE_ROWS)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        page.into_iter().for_each(&mut take);
    }
}

/// Refuses rows that a view could not keep well.
pub fn check_rows(rows: &[RowChange]) -> Result<(), ViewError> {
    let over = rows.iter().find_map(|row| match row {
        RowChange::Put { key, value } => Some(key.len() + value.len()).filter(|bytes| *bytes > limits::VIEW_ROW_BYTES),
        RowChange::Delete { .. } => None,
    });
    over.map_or(Ok(()), |bytes| Err(ViewError::RowSize(bytes)))
}

/// Records folded between two writes of the view while catching up.
pub const CATCH_UP_RECORDS: usize = 1_000;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Epoch;
    use crate::store::Batch;
    use crate::store::memory::{MemoryLedger, MemoryView};

    /// `set KEY VALUE`, `del KEY`; anything else folds to nothing.
    pub struct WordFold(pub u32);

    impl Fold for WordFold {
        fn version(&self) -> u32 {
            self.0
        }

        fn rows(&self, _: &dyn View, _: Seq, payload: &[u8]) -> Vec<RowChange> {
            let text = String::from_utf8_lossy(payload);
            match text.split(' ').collect::<Vec<_>>()[..] {
                ["set", key, value] => vec![RowChange::Put { key: key.into(), value: value.into() }],
                ["del", key] => vec![RowChange::Delete { key: key.into() }],
                _ => Vec::new(),
            }
        }
    }

    fn ledger_of(texts: &[&str]) -> MemoryLedger {
        let mut ledger = MemoryLedger::new(Epoch::from_u128(1));
        for text in texts {
            let first = ledger.next_seq();
            ledger.append(&Batch { first, records: &[text.as_bytes()] }).unwrap();
        }
        ledger
    }

    #[test]
    fn a_view_of_an_older_fold_is_built_anew() {
        let ledger = ledger_of(&["set a 1", "set b 2", "del a"]);
        let view = MemoryView::new();
        let first = catch_up(&ledger, &view, &WordFold(1), |_| {}).unwrap();
        assert_eq!((first.records, first.rebuilt), (3, true));
        assert_eq!(catch_up(&ledger, &view, &WordFold(1), |_| {}).unwrap().records, 0);
        let again = catch_up(&ledger, &view, &WordFold(2), |_| {}).unwrap();
        assert_eq!((again.records, again.rebuilt), (3, true));
        assert_eq!(view.get(b"b").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(view.all().len(), 1);
    }

    #[test]
    fn a_view_ahead_of_the_ledger_is_not_believed() {
        let view = MemoryView::new();
        catch_up(&ledger_of(&["set a 1", "set b 2"]), &view, &WordFold(1), |_| {}).unwrap();
        let shorter = catch_up(&ledger_of(&["set a 3"]), &view, &WordFold(1), |_| {}).unwrap();
        assert!(shorter.rebuilt);
        assert_eq!(view.get(b"a").unwrap().as_deref(), Some(&b"3"[..]));
    }

    #[test]
    fn more_rows_than_a_page_holds_are_all_read() {
        let view = MemoryView::new();
        let all = u32::try_from(limits::VIEW_PAGE_ROWS).unwrap() * 2 + 1;
        let rows: Vec<_> = (0..all)
            .map(|at| RowChange::Put { key: format!("r/{at:06}").into(), value: at.to_be_bytes().to_vec() })
            .chain([RowChange::Put { key: b"s/1".to_vec(), value: Vec::new() }])
            .collect();
        view.apply(Seq(1), &rows).unwrap();
        let mut read = Vec::new();
        every_row(&view, b"r/", |row| read.push(row.value)).unwrap();
        assert_eq!(read, (0..all).map(|at| at.to_be_bytes().to_vec()).collect::<Vec<_>>());
    }

    #[test]
    fn a_slash_in_a_name_cannot_move_a_row() {
        let sneaky = key::registration(&"1001".into(), "a/../b%\n");
        assert_eq!(sneaky, b"r/1001/a%2F..%2Fb%25%0A");
        assert_ne!(
            key::by_number("1/2", InteractionId::from_u128(3)),
            key::by_number("1%2F2", InteractionId::from_u128(3))
        );
    }

    #[test]
    fn a_row_over_the_limit_is_refused_whole() {
        let view = MemoryView::new();
        let small = RowChange::Put { key: b"a".to_vec(), value: b"1".to_vec() };
        let large = RowChange::Put { key: b"b".to_vec(), value: vec![0; limits::VIEW_ROW_BYTES] };
        assert!(matches!(view.apply(Seq(1), &[small, large]), Err(ViewError::RowSize(_))));
        assert_eq!((view.get(b"a").unwrap(), view.position().unwrap()), (None, Seq::ZERO));
    }

    struct LargeFold;

    impl Fold for LargeFold {
        fn version(&self) -> u32 {
            1
        }

        fn rows(&self, _: &dyn View, _: Seq, payload: &[u8]) -> Vec<RowChange> {
            let value = vec![b'x'; payload.len() * 1_000];
            vec![RowChange::Put { key: payload.to_vec(), value }]
        }
    }

    #[test]
    fn one_record_with_too_large_a_row_does_not_keep_the_view_shut() {
        let view = MemoryView::new();
        let long = "l".repeat(100);
        let caught = catch_up(&ledger_of(&["a", &long, "b"]), &view, &LargeFold, |_| {}).unwrap();
        assert_eq!((caught.position, view.all().len()), (Seq(3), 2));
    }

    proptest! {
        /// I3: whatever was replayed twice or in pieces, the view is the fold of the ledger.
        #[test]
        fn replay_in_any_pieces_makes_the_same_view(
            words in prop::collection::vec(("[a-d]", "[0-9]", any::<bool>()), 1..40),
            stops in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let texts: Vec<String> = words
                .iter()
                .map(|(key, value, set)| if *set { format!("set {key} {value}") } else { format!("del {key}") })
                .collect();
            let refs: Vec<&str> = texts.iter().map(String::as_str).collect();
            let whole = MemoryView::new();
            catch_up(&ledger_of(&refs), &whole, &WordFold(1), |_| {}).unwrap();
            let pieces = MemoryView::new();
            let mut stops: Vec<usize> = stops.iter().map(|stop| stop.index(refs.len() + 1)).collect();
            stops.sort();
            for stop in stops.into_iter().chain([refs.len()]).filter(|stop| *stop > 0) {
                catch_up(&ledger_of(&refs[..stop]), &pieces, &WordFold(1), |_| {}).unwrap();
                for (at, text) in refs[..stop].iter().enumerate() {
                    let rows = WordFold(1).rows(&pieces, Seq(at as u64 + 1), text.as_bytes());
                    prop_assert!(!pieces.apply(Seq(at as u64 + 1), &rows).unwrap());
                }
            }
            prop_assert_eq!(pieces.all(), whole.all());
        }
    }
}
