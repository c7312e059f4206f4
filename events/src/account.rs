//! What an account may do and has paid for: all events of `account-…` streams.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{PersonalField, Timestamp};

/// An account may do more, or less, than before. Said by who runs the place. In the `account-…`
/// stream of the athlete whose account it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleGranted {
    /// What it may do from now on.
    pub role: Role,
}

impl RoleGranted {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// An account has another tier, or has it until another time. Said by who runs the place, or by the
/// billing service. In the `account-…` stream of the athlete whose account it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TierGranted {
    /// What it has paid for.
    pub tier: Tier,
    /// When that ends and the account is free again; `null` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What the billing service calls its notice, and when that says it was so; `null` where an
    /// admin said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

impl TierGranted {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        Vec::new()
    }
}

/// A notice of the billing service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Notice {
    /// Its id there; opaque.
    pub id: String,
    /// When it says that it was so: notices may come in any order.
    pub at: Timestamp,
}

/// The words of an enum, as JSON has them, to show and to read.
macro_rules! words {
    ($name:ident, $wanted:literal, $($word:ident = $text:literal),*) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$word => $text,)*
                })
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$word),)*
                    _ => Err($wanted),
                }
            }
        }
    };
}

/// What an account may do beyond its own affairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Role {
    /// Trains.
    #[default]
    Athlete,
    /// Trains others.
    Coach,
    /// Runs the place.
    Admin,
}

words!(
    Role,
    "must be athlete, coach or admin",
    Athlete = "athlete",
    Coach = "coach",
    Admin = "admin"
);

/// What an account has paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Tier {
    /// Nothing.
    #[default]
    Free,
    /// The subscription.
    Pro,
}

words!(Tier, "must be free or pro", Free = "free", Pro = "pro");
