//! What is said, checked by the words of the shipped prompts.

#![allow(clippy::disallowed_methods, reason = "a test reads the files it tests; no core does")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The words of the shipped prompts, by language and name.
fn manifest(language: &str) -> BTreeMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        prompts: BTreeMap<String, String>,
    }
    let path = format!("{}/prompts/{language}/manifest.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the manifest is shipped");
    toml::from_str::<Manifest>(&text).expect("the manifest is TOML").prompts
}

/// The words heard: joined by spaces in English, without any in Mandarin; a pause is a comma.
fn words(parts: &[Spoken]) -> String {
    let mut heard = Vec::new();
    let mut gap = " ";
    for part in parts {
        match part {
            Spoken::Silence(_) => heard.push(",".to_owned()),
            Spoken::Prompt { language, prompt } => {
                gap = if language.as_str() == "zh" { "" } else { " " };
                let known = manifest_of(language).get(prompt.as_str());
                heard.push(known.unwrap_or_else(|| panic!("{prompt} is not recorded in {language}")).clone());
            }
        }
    }
    heard.join(gap).replace(" ,", ",")
}

fn manifest_of(language: &Language) -> &'static BTreeMap<String, String> {
    static ENGLISH: std::sync::LazyLock<BTreeMap<String, String>> = std::sync::LazyLock::new(|| manifest("en"));
    static MANDARIN: std::sync::LazyLock<BTreeMap<String, String>> = std::sync::LazyLock::new(|| manifest("zh"));
    if language.as_str() == "zh" { &MANDARIN } else { &ENGLISH }
}

fn both() -> [Language; 2] {
    [Language::new("en"), Language::new("zh")]
}

fn check<T: Copy + core::fmt::Debug>(said: impl Fn(&Language, T) -> Vec<Spoken>, table: &[(T, &str, &str)]) {
    let [english, mandarin] = both();
    for (value, en, zh) in table {
        assert_eq!(words(&said(&english, *value)), *en, "{value:?}");
        assert_eq!(words(&said(&mandarin, *value)), *zh, "{value:?}");
    }
}

#[test]
fn numbers_are_said_as_people_say_them() {
    check(
        number,
        &[
            (0, "zero", "零"),
            (2, "two", "二"),
            (10, "ten", "十"),
            (12, "twelve", "十二"),
            (22, "twenty-two", "二十二"),
            (100, "one hundred", "一百"),
            (102, "one hundred and two", "一百零二"),
            (110, "one hundred and ten", "一百一十"),
            (115, "one hundred and fifteen", "一百一十五"),
            (200, "two hundred", "二百"),
            (222, "two hundred and twenty-two", "二百二十二"),
            (1_000, "one thousand", "一千"),
            (1_005, "one thousand and five", "一千零五"),
            (1_012, "one thousand and twelve", "一千零一十二"),
            (1_050, "one thousand and fifty", "一千零五十"),
            (1_500, "one thousand five hundred", "一千五百"),
            (2_000, "two thousand", "两千"),
            (2_222, "two thousand two hundred and twenty-two", "两千二百二十二"),
            (10_000, "ten thousand", "一万"),
            (10_010, "ten thousand and ten", "一万零一十"),
            (10_500, "ten thousand five hundred", "一万零五百"),
            (12_000, "twelve thousand", "一万二千"),
            (20_000, "twenty thousand", "两万"),
            (22_000, "twenty-two thousand", "两万二千"),
            (100_000, "one hundred thousand", "十万"),
            (150_000, "one hundred and fifty thousand", "十五万"),
            (100_010, "one hundred thousand and ten", "十万零一十"),
            (1_000_001, "one million and one", "一百万零一"),
            (20_000_000, "twenty million", "两千万"),
            (100_000_000, "one hundred million", "一亿"),
            (200_000_002, "two hundred million and two", "两亿零二"),
            (110_000_000, "one hundred and ten million", "一亿一千万"),
            (100_120_000, "one hundred million one hundred and twenty thousand", "一亿零一十二万"),
            (1_000_000_000_000, "one trillion", "一万亿"),
            (-7, "minus seven", "负七"),
            (-2_000, "minus two thousand", "负两千"),
        ],
    );
}

#[test]
fn digits_are_read_out_in_groups_of_four_from_the_end() {
    check(
        digits,
        &[
            ("2005", "two zero zero five", "二零零五"),
            ("13800138000", "one three eight, zero zero one three, eight zero zero zero", "幺三八,零零幺三,八零零零"),
            ("1*#", "one star hash", "幺星号井号"),
            ("CA-123", "C A one two three", "CA幺二三"),
            ("", "", ""),
        ],
    );
}

#[test]
fn money_is_said_in_units_and_hundredths() {
    let say = |currency: &'static str| move |language: &Language, fen: i64| money(language, Money(fen), currency);
    check(
        say("CNY"),
        &[
            (0, "zero yuan", "零元"),
            (200, "two yuan", "两元"),
            (1_200, "twelve yuan", "十二元"),
            (1_250, "twelve yuan and fifty fen", "十二元五角"),
            (1_255, "twelve yuan and fifty-five fen", "十二元五角五分"),
            (1_205, "twelve yuan and five fen", "十二元零五分"),
            (520, "five yuan and twenty fen", "五元二角"),
            (20, "twenty fen", "两角"),
            (2, "two fen", "两分"),
            (1_000_000, "ten thousand yuan", "一万元"),
            (-350, "minus three yuan and fifty fen", "负三元五角"),
        ],
    );
    check(
        say("USD"),
        &[
            (100, "one dollar", "一美元"),
            (201, "two dollars and one cent", "两美元一美分"),
            (99, "ninety-nine cents", "九十九美分"),
        ],
    );
    check(
        say("GBP"),
        &[(101, "one pound and one penny", "一英镑一便士"), (250, "two pounds and fifty pence", "两英镑五十便士")],
    );
    check(say("EUR"), &[(1_050, "ten euros and fifty cents", "十欧元五十欧分")]);
    check(
        say("HKD"),
        &[(250, "two point five zero Hong Kong dollars", "二点五零港元"), (200, "two Hong Kong dollars", "两港元")],
    );
    check(say("CHF"), &[(300, "three C H F", "三CHF")]);
}

#[test]
fn a_day_has_an_ordinal_in_english_and_its_year_digit_by_digit_in_mandarin() {
    let say = |language: &Language, (year, month, day): (u16, u8, u8)| {
        date(language, Date::new(year, month, day).expect("is a day"))
    };
    check(
        say,
        &[
            ((2026, 11, 21), "November twenty-first twenty twenty-six", "二零二六年十一月二十一日"),
            ((2000, 1, 1), "January first two thousand", "二零零零年一月一日"),
            ((2005, 2, 2), "February second two thousand and five", "二零零五年二月二日"),
            ((2010, 3, 12), "March twelfth twenty ten", "二零一零年三月十二日"),
            ((1905, 8, 30), "August thirtieth nineteen oh five", "一九零五年八月三十日"),
            ((1900, 12, 31), "December thirty-first nineteen hundred", "一九零零年十二月三十一日"),
        ],
    );
}

#[test]
fn a_place_in_line_is_a_sentence() {
    check(
        position,
        &[
            (0, "", ""),
            (1, "You are next in line.", "您是下一位。"),
            (2, "You are number two in line.", "您排在第二位。"),
            (15, "You are number fifteen in line.", "您排在第十五位。"),
        ],
    );
}

#[test]
fn a_wait_is_rounded_up_to_what_a_person_would_say() {
    check(
        wait,
        &[
            (0, "less than a minute.", "不到一分钟。"),
            (59, "less than a minute.", "不到一分钟。"),
            (60, "about one minute.", "大约一分钟。"),
            (61, "about two minutes.", "大约两分钟。"),
            (601, "about fifteen minutes.", "大约十五分钟。"),
            (1_801, "about forty minutes.", "大约四十分钟。"),
            (3_601, "more than an hour.", "超过一个小时。"),
            (u32::MAX, "more than an hour.", "超过一个小时。"),
        ],
    );
}

#[test]
fn a_waiting_caller_hears_place_and_wait_as_a_range() {
    let say =
        |language: &Language, (place, wait): (Option<u32>, Option<(u32, u32)>)| announcement(language, place, wait);
    check(
        say,
        &[
            (
                (Some(3), Some((100, 280))),
                "You are number three in line. The expected wait is between two and five minutes.",
                "您排在第三位。预计等待时间两到五分钟。",
            ),
            (
                (Some(1), Some((20, 40))),
                "You are next in line. The expected wait is less than a minute.",
                "您是下一位。预计等待时间不到一分钟。",
            ),
            ((None, Some((30, 170))), "The expected wait is less than three minutes.", "预计等待时间不到三分钟。"),
            ((None, Some((110, 115))), "The expected wait is about two minutes.", "预计等待时间大约两分钟。"),
            (
                (None, Some((1_700, 9_000))),
                "The expected wait is more than thirty minutes.",
                "预计等待时间超过三十分钟。",
            ),
            ((None, Some((9_000, 9_000))), "The expected wait is more than an hour.", "预计等待时间超过一个小时。"),
            ((None, Some((280, 100))), "The expected wait is about five minutes.", "预计等待时间大约五分钟。"),
            ((Some(2), None), "You are number two in line.", "您排在第二位。"),
            ((None, None), "Thank you for waiting. We will be with you shortly.", "感谢您的等候，我们很快为您服务。"),
        ],
    );
}

#[test]
fn a_language_speaks_by_its_own_folder_and_a_region_by_its_language_s_grammar() {
    let taiwan = Language::new("zh-TW");
    let first = number(&taiwan, 2_000).into_iter().next();
    assert_eq!(first, Some(Spoken::Prompt { language: taiwan, prompt: word("number/liang") }));
}

#[test]
fn every_word_is_recorded() {
    for language in both() {
        let known = manifest_of(&language);
        let missing: Vec<_> =
            vocabulary(&language).into_iter().filter(|name| !known.contains_key(name.as_str())).collect();
        assert_eq!(missing, Vec::<PromptName>::new(), "{language}");
    }
}

/// Reads English number words back: the tests' own reader, which knows nothing of how they were made.
fn read_english(words: &str) -> i128 {
    let units = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
                 seventeen eighteen nineteen";
    let tens = "twenty thirty forty fifty sixty seventy eighty ninety";
    let scales = "thousand million billion trillion quadrillion quintillion";
    let place = |list: &str, word: &str| list.split_whitespace().position(|known| known == word).map(|at| at as i128);
    let (mut total, mut group) = (0, 0);
    for word in words.replace('-', " ").split_whitespace() {
        if let Some(unit) = place(units, word) {
            group += unit;
        } else if let Some(ten) = place(tens, word) {
            group += (ten + 2) * 10;
        } else if word == "hundred" {
            group *= 100;
        } else if let Some(scale) = place(scales, word) {
            total += group * 1_000_i128.pow(u32::try_from(scale).expect("six scales") + 1);
            group = 0;
        } else {
            assert!(word == "and" || word == "minus", "{word}");
        }
    }
    if words.starts_with("minus") { -(total + group) } else { total + group }
}

/// Reads Mandarin number words back.
fn read_mandarin(words: &str) -> i128 {
    if let Some(rest) = words.strip_prefix('负') {
        return -read_mandarin(rest);
    }
    for (name, unit) in [('亿', 100_000_000), ('万', 10_000), ('千', 1_000), ('百', 100), ('十', 10)] {
        if let Some((before, after)) = words.rsplit_once(name) {
            let count = if before.is_empty() { 1 } else { read_mandarin(before) };
            return count * unit + read_mandarin(after);
        }
    }
    match words.strip_prefix('零').unwrap_or(words) {
        "" => 0,
        "两" => 2,
        digit => "零一二三四五六七八九".chars().position(|known| digit.starts_with(known)).expect("a digit") as i128,
    }
}

fn any_number() -> impl Strategy<Value = i64> {
    // Every size as likely as every other, round numbers and their neighbours among them.
    prop_oneof![
        (0_u32..63, any::<i64>()).prop_map(|(bits, n)| n >> bits),
        (0_u32..19, 1_i64..10, -1_i64..=1).prop_map(|(zeros, digit, off)| {
            10_i64.checked_pow(zeros).and_then(|n| n.checked_mul(digit)).and_then(|n| n.checked_add(off)).unwrap_or(off)
        }),
        Just(i64::MIN),
        Just(i64::MAX),
    ]
}

proptest! {
    #[test]
    fn what_is_heard_is_the_number(n in any_number()) {
        let [english, mandarin] = both();
        prop_assert_eq!(read_english(&words(&number(&english, n))), i128::from(n));
        prop_assert_eq!(read_mandarin(&words(&number(&mandarin, n))), i128::from(n));
    }

    #[test]
    fn no_zero_is_doubled_and_no_number_ends_in_one(n in any_number()) {
        let heard = words(&number(&both()[1], n));
        prop_assert!(!heard.contains("零零"), "{}", heard);
        prop_assert!(n == 0 || !heard.ends_with('零'), "{}", heard);
    }

    /// Whatever is to be said, it is recorded: `words` panics at a prompt that is not.
    #[test]
    fn everything_that_can_be_said_is_recorded(
        fen in any::<i64>(),
        currency in "CNY|USD|EUR|GBP|HKD|JPY|[A-Z]{3}",
        text in ".{0,20}",
        (year, month, day) in (1_u16..=9999, 1_u8..=12, 1_u8..=28),
        place in proptest::option::of(any::<u32>()),
        wait_s in proptest::option::of((0_u32..8_000, 0_u32..8_000)),
    ) {
        for language in both() {
            prop_assert!(!words(&money(&language, Money(fen), &currency)).is_empty());
            words(&digits(&language, &text));
            prop_assert!(!words(&date(&language, Date::new(year, month, day).expect("is a day"))).is_empty());
            words(&announcement(&language, place, wait_s));
        }
    }

    /// A range never promises less than its own lower end, and names its ends in order.
    #[test]
    fn a_range_of_waits_is_in_order(likely in 60_u32..3_600, more in 0_u32..3_600) {
        let low = rounded_up(likely);
        let high = rounded_up(likely + more);
        prop_assert!(low <= high && low * 60 >= likely);
    }
}
