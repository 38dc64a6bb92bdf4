//! The names of the metrics.

/// The metrics, by the names that alarms and dashboards know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The event is in the queue.
    Accepted,
    /// A rule or the stock check stopped the shopper.
    Refused,
    /// It is unusable, and in the quarantine queue.
    Quarantined,
    /// No key vouched for it.
    Unverified,
    /// It is no event, or not a valid one.
    Invalid,
    /// It is ours, or AWS's, that it was not accepted.
    Failed,
    /// How long it took to find out whether a key vouches for it.
    VerifyTime,
    /// How long the rules and the channel took.
    DecideTime,
    /// How long the queue took.
    EnqueueTime,
    /// What was left of the budget when the answer was made.
    TimeLeft,
    /// It was the first request of a process.
    ColdStart,
    /// At least one of the merchant's rules could not be evaluated.
    RulesUnevaluated,
    /// It was accepted with issues.
    Irregular,
    /// A key vouched for it: which one is a dimension.
    Verified,
}

impl Metric {
    /// Its name in CloudWatch.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Refused => "Refused",
            Self::Quarantined => "Quarantined",
            Self::Unverified => "Unverified",
            Self::Invalid => "Invalid",
            Self::Failed => "Failed",
            Self::VerifyTime => "VerifyTime",
            Self::DecideTime => "DecideTime",
            Self::EnqueueTime => "EnqueueTime",
            Self::TimeLeft => "TimeLeft",
            Self::ColdStart => "ColdStart",
            Self::RulesUnevaluated => "RulesUnevaluated",
            Self::Irregular => "Irregular",
            Self::Verified => "Verified",
        }
    }
}
