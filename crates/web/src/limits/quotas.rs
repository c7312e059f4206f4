//! Who has how much: budgets, and how they are written in configuration.

use std::{fmt, str::FromStr, time::Duration};

/// Something that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Budget {
    /// Requests of an address without a known caller.
    Anonymous,
    /// Failed sign-ins, for an account and for an address.
    SignIn,
    /// Accounts made, and mails asked for, from an address.
    Mail,
    /// Requests of an athlete.
    Free,
    /// Requests of an athlete who has paid.
    Pro,
    /// Requests of a coach.
    Coach,
    /// Requests of an admin.
    Admin,
    /// Requests by an API key.
    Key,
    /// Stats that an athlete asks for.
    Stats,
}

/// So much in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How much.
    pub count: u32,
    /// The length of the window.
    pub window: Duration,
}

impl Budget {
    /// All of them, with what they are by default.
    const ALL: [(Self, &str, u32, u64); 9] = [
        (Self::Anonymous, "anonymous", 1000, 15 * 60),
        (Self::SignIn, "sign-in", 5, 15 * 60),
        (Self::Mail, "mail", 20, 60 * 60),
        (Self::Free, "free", 60, 60),
        (Self::Pro, "pro", 120, 60),
        (Self::Coach, "coach", 300, 60),
        (Self::Admin, "admin", 600, 60),
        (Self::Key, "key", 300, 60),
        (Self::Stats, "stats", 100, 60 * 60),
    ];

    /// The word for it in configuration and in Redis.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// What it is of, for people.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Anonymous => "requests from an address",
            Self::SignIn => "failed sign-ins",
            Self::Mail => "accounts made and mails asked for",
            Self::Free | Self::Pro | Self::Coach | Self::Admin => "requests",
            Self::Key => "requests by API keys",
            Self::Stats => "requests for stats",
        }
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(budget, ..)| *budget)
    }
}

/// All quotas: what configuration says, else the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas([Quota; Budget::ALL.len()]);

impl Quotas {
    /// How much there is of a budget.
    pub fn of(&self, budget: Budget) -> Quota {
        self.0[budget as usize]
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self(
            Budget::ALL
                .map(|(.., count, seconds)| Quota { count, window: Duration::from_secs(seconds) }),
        )
    }
}

/// As configuration has it: `free=60/1m,stats=100/1h`; what is not named stays as it is by default.
impl FromStr for Quotas {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut quotas = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let said = entry.split_once('=').and_then(|(name, quota)| {
                let budget = Budget::all().find(|budget| budget.name() == name.trim())?;
                Some((budget, quota.trim().parse::<Quota>().ok()?))
            });
            let Some((budget, quota)) = said else {
                let names: Vec<&str> = Budget::all().map(Budget::name).collect();
                return Err(format!(
                    "`{entry}` is no limit such as free=60/1m; there are {}",
                    names.join(", ")
                ));
            };
            quotas.0[budget as usize] = quota;
        }
        Ok(quotas)
    }
}

impl FromStr for Quota {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (count, window) = text.split_once('/').ok_or(())?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or(())?;
        let digits = window.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = match &window[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(()),
        };
        let number: u64 = if digits.is_empty() { 1 } else { digits.parse().map_err(|_| ())? };
        let seconds =
            number.checked_mul(unit).filter(|seconds| (1..=86_400 * 31).contains(seconds));
        Ok(Self { count, window: Duration::from_secs(seconds.ok_or(())?) })
    }
}

/// As configuration has it.
impl fmt::Display for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, budget) in Budget::all().enumerate() {
            let Quota { count, window } = self.of(budget);
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{}={count}/{}s", budget.name(), window.as_secs())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Budget, Quota, Quotas};

    #[test]
    fn the_list_is_in_the_order_of_the_numbers() {
        for (index, budget) in Budget::all().enumerate() {
            assert_eq!(budget as usize, index);
        }
    }

    #[test]
    fn configuration_names_what_differs() {
        let quotas: Quotas = "free=5/10s, stats=7/h".parse().unwrap();
        let quota = |count, seconds| Quota { count, window: Duration::from_secs(seconds) };
        assert_eq!(quotas.of(Budget::Free), quota(5, 10));
        assert_eq!(quotas.of(Budget::Stats), quota(7, 3600));
        assert_eq!(quotas.of(Budget::Pro), quota(120, 60));
        assert_eq!(quotas.to_string().parse(), Ok(quotas));
        for wrong in
            ["free", "free=5", "free=0/1m", "what=1/1m", "free=1/1w", "free=1/0s", "free=-1/1s"]
        {
            assert!(wrong.parse::<Quotas>().is_err(), "{wrong}");
        }
    }
}
