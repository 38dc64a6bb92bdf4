//! The metrics, with their names in CloudWatch.

/// A metric. Alarms and dashboards in `template.yaml` use its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The event is in the queue.
    Accepted,
    /// The event is accepted, but not in the queue, because a rule or the operator chose so.
    NotForwarded,
    /// A rule or the stock check refused the event.
    Refused,
    /// The event is unusable, and in the quarantine queue.
    Quarantined,
    /// No key verified the event.
    Unverified,
    /// The request is not an event, or not a valid one.
    Invalid,
    /// The event was not accepted because of AWS or of the function itself.
    Failed,
    /// The duration of the verification.
    VerifyTime,
    /// The duration of the rules and the channel's decision.
    DecideTime,
    /// The duration of sending the message.
    EnqueueTime,
    /// The remaining time until the deadline when the response was ready.
    TimeLeft,
    /// The request is the first of its process.
    ColdStart,
    /// At least one of the merchant's rules could not be evaluated.
    RulesUnevaluated,
    /// The event was accepted with issues.
    Irregular,
    /// A key verified the event. Its name is a dimension.
    Verified,
}

impl Metric {
    /// Returns the name in CloudWatch.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::NotForwarded => "NotForwarded",
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
