//! How much a customer's business counts: what the CRM's record says and the queues weigh.

use core::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much a customer's business counts, decided by the company's own record of them. The default is `Iron`:
/// someone on file whom nobody has graded; `Lead` has bought little or nothing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Lead,
    #[default]
    Iron,
    Gold,
    Platinum,
}

impl Tier {
    pub const ALL: [Tier; 4] = [Tier::Platinum, Tier::Gold, Tier::Iron, Tier::Lead];

    pub const fn code(self) -> &'static str {
        match self {
            Tier::Platinum => "platinum",
            Tier::Gold => "gold",
            Tier::Iron => "iron",
            Tier::Lead => "lead",
        }
    }

    pub const fn chinese(self) -> &'static str {
        match self {
            Tier::Platinum => "铂金客户",
            Tier::Gold => "黄金客户",
            Tier::Iron => "铁牌客户",
            Tier::Lead => "铅牌客户",
        }
    }
}

impl FromStr for Tier {
    type Err = UnknownTier;

    /// The code in any case, or the Chinese word.
    fn from_str(text: &str) -> Result<Self, UnknownTier> {
        let word = text.trim();
        Self::ALL
            .into_iter()
            .find(|tier| word.eq_ignore_ascii_case(tier.code()) || word == tier.chinese())
            .ok_or(UnknownTier)
    }
}

/// The text is no tier: `platinum`, `gold`, `iron` and `lead` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tier is called so: platinum, gold, iron and lead are")]
pub struct UnknownTier;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_read_in_both_languages() {
        assert_eq!("Gold".parse(), Ok(Tier::Gold));
        assert_eq!(" 铂金客户".parse(), Ok(Tier::Platinum));
        assert_eq!("silver".parse::<Tier>(), Err(UnknownTier));
        assert!(Tier::ALL.is_sorted_by(|a, b| a > b));
    }
}
