//! How times and numbers look on the API and the CTI socket.

use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::time::Time;

/// An instant as RFC 3339 in UTC with milliseconds: `2026-11-21T14:31:04.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Time);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Moment {}

impl From<Time> for Moment {
    fn from(time: Time) -> Self {
        Moment(time)
    }
}

/// Reads RFC 3339 with any offset, or a bare date, which means its first instant in UTC.
pub fn parse_time(text: &str) -> Option<Time> {
    let stamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let date = text.parse::<jiff::civil::Date>().ok()?;
        date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    u64::try_from(stamp.as_microsecond()).ok().map(Time::from_micros)
}

/// The number as roles see it that may not see numbers: `138****8000`, `+86138****8000`. Short numbers and names of
/// accounts are nobody's secret.
pub fn mask_number(number: &str) -> String {
    let digits = number.chars().filter(char::is_ascii_digit).count();
    if digits < SHORTEST_MASKED {
        return number.to_owned();
    }
    let (hide_from, hide_to) = (digits - 8, digits - 4);
    let mut seen = 0;
    let mask = |c: char| {
        if !c.is_ascii_digit() {
            return c;
        }
        seen += 1;
        if (hide_from..hide_to).contains(&(seen - 1)) { '*' } else { c }
    };
    number.chars().map(mask).collect()
}

/// Numbers with fewer digits stand in every phone book: accounts, service numbers.
const SHORTEST_MASKED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_number_keeps_its_ends() {
        assert_eq!(mask_number("13800138000"), "138****8000");
        assert_eq!(mask_number("+8613800138000"), "+86138****8000");
        assert_eq!(mask_number("95539"), "95539");
        assert_eq!(mask_number(""), "");
    }

    #[test]
    fn times_are_written_and_read_as_rfc_3339() {
        let time = Time::from_millis(1_795_271_464_123);
        assert_eq!(serde_json::to_string(&Moment(time)).unwrap(), r#""2026-11-21T14:31:04.123Z""#);
        assert_eq!(parse_time("2026-11-21T22:31:04.123+08:00"), Some(time));
        assert_eq!(parse_time("1970-01-02"), Some(Time::from_secs(86_400)));
        assert_eq!(parse_time("yesterday"), None);
    }
}
