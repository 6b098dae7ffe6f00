//! How countries write their numbers, as data: prefixes, lengths, emergency numbers.
//!
//! Sources: ITU-T E.164 Annex (country codes), ITU-T E.164.C list of dialling procedures (international and national
//! prefixes), national numbering plans for the lengths. Lengths are plausibility, not a proof that a number exists.

use super::AreaCode;

/// One country (or zone, for +1 and +7) and its dialling rules.
#[derive(Debug, PartialEq, Eq)]
pub struct Country {
    /// Country code: `86`.
    pub code: &'static str,
    /// ISO 3166 name of the country whose rules these are: `CN`. +1 and +7 are shared; the rules are the same.
    pub iso: &'static str,
    /// What one dials before a national number: `0`; empty where nothing is.
    pub national_prefix: &'static str,
    /// What one dials before a country code.
    pub international_prefixes: &'static [&'static str],
    /// Fewest and most digits after the country code.
    pub national_digits: (u8, u8),
    /// National numbers that are dialled without the national prefix: (how they begin, how many digits).
    pub bare: &'static [(&'static str, u8)],
    /// Lengths of a subscriber number without its area code; empty where numbers are always dialled in full.
    pub local_digits: &'static [u8],
    /// Numbers that reach police, fire, ambulance.
    pub emergency: &'static [&'static str],
}

/// The countries we know the rules of, by code.
pub static COUNTRIES: &[Country] = &[
    Country {
        code: "1",
        iso: "US",
        national_prefix: "1",
        international_prefixes: &["011"],
        national_digits: (10, 10),
        bare: &[("2", 10), ("3", 10), ("4", 10), ("5", 10), ("6", 10), ("7", 10), ("8", 10), ("9", 10)],
        local_digits: &[7],
        emergency: &["911"],
    },
    Country {
        code: "7",
        iso: "RU",
        national_prefix: "8",
        international_prefixes: &["810"],
        national_digits: (10, 10),
        bare: &[("9", 10)],
        local_digits: &[],
        emergency: &["112", "101", "102", "103"],
    },
    Country {
        code: "31",
        iso: "NL",
        national_prefix: "0",
        international_prefixes: &["00"],
        national_digits: (7, 11),
        bare: &[],
        local_digits: &[],
        emergency: &["112"],
    },
    Country {
        code: "33",
        iso: "FR",
        national_prefix: "0",
        international_prefixes: &["00"],
        national_digits: (9, 9),
        bare: &[],
        local_digits: &[],
        emergency: &["112", "15", "17", "18", "114"],
    },
    Country {
        code: "34",
        iso: "ES",
        national_prefix: "",
        international_prefixes: &["00"],
        national_digits: (9, 9),
        bare: &[("6", 9), ("7", 9), ("8", 9), ("9", 9)],
        local_digits: &[],
        emergency: &["112", "062", "091"],
    },
    Country {
        // The zero of an Italian area code is part of the number, also from abroad.
        code: "39",
        iso: "IT",
        national_prefix: "",
        international_prefixes: &["00"],
        national_digits: (6, 12),
        bare: &[("0", 6), ("0", 7), ("0", 8), ("0", 9), ("0", 10), ("0", 11), ("3", 9), ("3", 10)],
        local_digits: &[],
        emergency: &["112", "113", "115", "118"],
    },
    Country {
        code: "44",
        iso: "GB",
        national_prefix: "0",
        international_prefixes: &["00"],
        national_digits: (9, 10),
        bare: &[],
        local_digits: &[],
        emergency: &["999", "112"],
    },
    Country {
        code: "49",
        iso: "DE",
        national_prefix: "0",
        international_prefixes: &["00"],
        national_digits: (5, 13),
        bare: &[],
        local_digits: &[],
        emergency: &["112", "110"],
    },
    Country {
        code: "61",
        iso: "AU",
        national_prefix: "0",
        international_prefixes: &["0011"],
        national_digits: (5, 10),
        bare: &[("1300", 10), ("1800", 10)],
        local_digits: &[8],
        emergency: &["000", "112", "106"],
    },
    Country {
        code: "65",
        iso: "SG",
        national_prefix: "",
        international_prefixes: &["001", "002", "008", "000"],
        national_digits: (8, 11),
        bare: &[("3", 8), ("6", 8), ("8", 8), ("9", 8)],
        local_digits: &[],
        emergency: &["999", "995", "112"],
    },
    Country {
        code: "81",
        iso: "JP",
        national_prefix: "0",
        international_prefixes: &["010"],
        national_digits: (9, 10),
        bare: &[],
        local_digits: &[],
        emergency: &["110", "119", "118"],
    },
    Country {
        code: "82",
        iso: "KR",
        national_prefix: "0",
        international_prefixes: &["001", "002", "005", "006", "008"],
        national_digits: (7, 11),
        bare: &[],
        local_digits: &[],
        emergency: &["112", "119"],
    },
    Country {
        code: "86",
        iso: "CN",
        national_prefix: "0",
        international_prefixes: &["00"],
        national_digits: (8, 11),
        bare: &[
            ("13", 11),
            ("14", 11),
            ("15", 11),
            ("16", 11),
            ("17", 11),
            ("18", 11),
            ("19", 11),
            ("400", 10),
            ("800", 10),
        ],
        local_digits: &[7, 8],
        emergency: &["110", "119", "120", "122"],
    },
    Country {
        code: "91",
        iso: "IN",
        national_prefix: "0",
        international_prefixes: &["00"],
        national_digits: (8, 12),
        bare: &[("6", 10), ("7", 10), ("8", 10), ("9", 10)],
        local_digits: &[],
        emergency: &["112", "100", "101", "102", "108"],
    },
    Country {
        code: "852",
        iso: "HK",
        national_prefix: "",
        international_prefixes: &["001", "002", "003", "005", "006", "007", "008", "009"],
        national_digits: (8, 9),
        bare: &[("2", 8), ("3", 8), ("4", 8), ("5", 8), ("6", 8), ("7", 8), ("8", 8), ("9", 8)],
        local_digits: &[],
        emergency: &["999", "112", "992"],
    },
    Country {
        code: "853",
        iso: "MO",
        national_prefix: "",
        international_prefixes: &["00"],
        national_digits: (7, 8),
        bare: &[("2", 8), ("6", 8), ("8", 8)],
        local_digits: &[],
        emergency: &["999", "110", "112", "120"],
    },
    Country {
        code: "886",
        iso: "TW",
        national_prefix: "0",
        international_prefixes: &["002", "005", "006", "007", "009"],
        national_digits: (8, 10),
        bare: &[],
        local_digits: &[],
        emergency: &["110", "119", "112"],
    },
];

/// The country with this code (`86`), where we know its rules.
pub fn country(code: &str) -> Option<&'static Country> {
    COUNTRIES.iter().find(|country| country.code == code)
}

impl Country {
    /// The country whose code the digits after a plus begin with; codes are prefix-free (ITU-T E.164 §6.2.1).
    pub fn of(digits: &str) -> Option<&'static Country> {
        COUNTRIES.iter().find(|country| digits.starts_with(country.code))
    }

    /// Whether the digits after a plus are a number of this country.
    pub fn owns(&self, digits: &str) -> bool {
        digits.starts_with(self.code)
    }

    pub fn is_emergency(&self, number: &str) -> bool {
        self.emergency.contains(&number)
    }

    /// The digits after an international prefix, where one was dialled and a number can follow it.
    pub(super) fn international<'d>(&self, digits: &'d str) -> Option<&'d str> {
        self.international_prefixes
            .iter()
            .filter_map(|prefix| digits.strip_prefix(prefix))
            .find(|rest| rest.len() >= super::E164_DIGITS_MIN && !rest.starts_with('0'))
    }

    /// The national significant number, where `digits` are one as dialled at home.
    pub(super) fn national(&self, digits: &str, area: Option<AreaCode>) -> Option<String> {
        let starts = |&&(start, len): &&(&str, u8)| digits.starts_with(start) && digits.len() == usize::from(len);
        if self.bare.iter().find(starts).is_some() {
            return Some(digits.to_owned());
        }
        if !self.national_prefix.is_empty()
            && let Some(rest) = digits.strip_prefix(self.national_prefix)
            && self.is_national_length(rest.len())
            && !rest.starts_with('0')
        {
            return Some(rest.to_owned());
        }
        let area = area?;
        let local = self.local_digits.iter().any(|&len| usize::from(len) == digits.len());
        (local && !digits.starts_with(['0', '1'])).then(|| format!("{}{digits}", area.as_str()))
    }

    /// How one dials the digits after a plus from here.
    pub(super) fn dialled(&self, digits: &str) -> String {
        match digits.strip_prefix(self.code) {
            Some(national) => format!("{}{national}", self.national_prefix),
            None => format!("{}{digits}", self.international_prefixes.first().unwrap_or(&"00")),
        }
    }

    fn is_national_length(&self, len: usize) -> bool {
        let (min, max) = self.national_digits;
        (usize::from(min)..=usize::from(max)).contains(&len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_prefix_free_and_the_table_is_in_order() {
        for (i, a) in COUNTRIES.iter().enumerate() {
            for b in &COUNTRIES[i + 1..] {
                assert!(!b.code.starts_with(a.code) && !a.code.starts_with(b.code), "+{} and +{}", a.code, b.code);
                assert!((a.code.len(), a.code) < (b.code.len(), b.code), "+{} before +{}", a.code, b.code);
            }
        }
    }

    #[test]
    fn every_country_has_emergency_numbers_and_possible_lengths() {
        for country in COUNTRIES {
            assert!(!country.emergency.is_empty(), "{}", country.iso);
            let (min, max) = country.national_digits;
            assert!(min <= max && country.code.len() + usize::from(max) <= 15, "{}", country.iso);
            for (start, len) in country.bare {
                assert!(start.len() < usize::from(*len) && (min..=max).contains(len), "{}", country.iso);
            }
        }
    }
}
