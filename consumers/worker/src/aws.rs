//! The clients for SQS and DynamoDB: endpoints, credentials and timeouts. The requests themselves
//! are in `queue.rs`, `dead_letters.rs` and `ledger.rs`.

use std::time::Duration;

use aws_sdk_sqs::config::{
    BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The timeout of one attempt of the AWS SDK.
const ATTEMPT_MAX: Duration = Duration::from_millis(1500);

/// The timeout of a request to AWS, with all attempts of the AWS SDK.
pub(crate) const OPERATION_MAX: Duration = Duration::from_secs(3);

/// How to reach AWS. All values come from the environment variables that Lambda sets.
pub(crate) struct AwsSettings {
    pub(crate) region: String,
    pub(crate) credentials: Credentials,
    /// An endpoint of SQS other than the one of the region.
    pub(crate) sqs_endpoint: Option<String>,
    /// An endpoint of DynamoDB other than the one of the region.
    pub(crate) dynamodb_endpoint: Option<String>,
}

/// The clients. They share one pool of connections.
pub(crate) struct Clients {
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
}

impl Clients {
    /// Creates the clients. Sends no request yet.
    pub(crate) fn new(settings: AwsSettings) -> Self {
        // Names its TLS provider, because the default one gathers entropy for 40 ms of CPU time
        // at its first handshake.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let AwsSettings {
            region,
            credentials,
            sqs_endpoint,
            dynamodb_endpoint,
        } = settings;
        let mut sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .credentials_provider(credentials.clone())
            .http_client(http.clone())
            .timeout_config(timeouts())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        sqs.set_endpoint_url(sqs_endpoint);
        let mut dynamodb = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(credentials)
            .http_client(http)
            .timeout_config(timeouts())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        dynamodb.set_endpoint_url(dynamodb_endpoint);
        Self {
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
        }
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_MAX)
        .operation_timeout(OPERATION_MAX)
        .build()
}
