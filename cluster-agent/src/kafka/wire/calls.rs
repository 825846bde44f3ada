//! The requests this agent makes: their keys, the versions it speaks, and how answers are laid out.
//!
//! Source: the message definitions of Apache Kafka (`clients/src/main/resources/common/message`).
//! Versions are those that Kafka 3.3 and later servers have in common, newest useful first.

use kafka_protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, ApiVersionsRequest, ApiVersionsResponse,
    DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeQuorumRequest, DescribeQuorumResponse, MetadataRequest,
    MetadataResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse, SaslAuthenticateRequest,
    SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse, UpdateFeaturesRequest,
    UpdateFeaturesResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::shape::Field::{self, Array, Compact, CompactArray, Fixed, Tags, Text};
use super::shape::NO_TAGS;

/// Largest answer about the quorum or the cluster: a hundred nodes take some ten kibibytes.
const SMALL_ANSWER_BYTES: usize = 1024 * 1024;

/// Largest answer about partitions and topics: two hundred thousand partitions of three replicas.
const LARGE_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// One kind of request.
pub(in crate::kafka) trait Call: Encodable + HeaderVersion {
    /// What answers it.
    type Answer: Decodable + HeaderVersion;
    /// Its number.
    const KEY: i16;
    /// Its name.
    const NAME: &'static str;
    /// Lowest and highest version this agent speaks.
    const VERSIONS: (i16, i16);
    /// Largest answer read, bytes.
    const ANSWER_BYTES_MAX: usize = SMALL_ANSWER_BYTES;
    /// How the answer of a version is laid out.
    fn layout(version: i16) -> &'static [Field];
}

macro_rules! call {
    ($request:ty => $answer:ty, $key:literal, $name:literal, $versions:expr, $layout:expr $(, $max:expr)?) => {
        impl Call for $request {
            type Answer = $answer;
            const KEY: i16 = $key;
            const NAME: &'static str = $name;
            const VERSIONS: (i16, i16) = $versions;
            $(const ANSWER_BYTES_MAX: usize = $max;)?
            fn layout(version: i16) -> &'static [Field] {
                let layout: fn(i16) -> &'static [Field] = $layout;
                layout(version)
            }
        }
    };
}

const FEATURE: &[Field] = &[Compact, Fixed(4), NO_TAGS];
const API_VERSIONS: &[Field] = &[
    Fixed(2),
    CompactArray(&[Fixed(6), NO_TAGS]),
    Fixed(4),
    Tags(&[
        (0, &[CompactArray(FEATURE)]),
        (1, &[Fixed(8)]),
        (2, &[CompactArray(FEATURE)]),
        (3, &[Fixed(1)]),
    ]),
];
// Finalized features are tag 2; an agent that asks in version 3 gets what 4 has but ranges from 0.
call!(ApiVersionsRequest => ApiVersionsResponse, 18, "ApiVersions", (3, 3), |_| API_VERSIONS);

const HANDSHAKE: &[Field] = &[Fixed(2), Array(&[Text])];
call!(SaslHandshakeRequest => SaslHandshakeResponse, 17, "SaslHandshake", (1, 1), |_| HANDSHAKE);

const AUTHENTICATE: &[Field] = &[Fixed(2), Compact, Compact, Fixed(8), NO_TAGS];
call!(
    SaslAuthenticateRequest => SaslAuthenticateResponse,
    36, "SaslAuthenticate", (2, 2), |_| AUTHENTICATE
);

const REPLICA_1: &[Field] = &[Fixed(4 + 8 + 8 + 8), NO_TAGS];
const REPLICA_2: &[Field] = &[Fixed(4 + 16 + 8 + 8 + 8), NO_TAGS];
const QUORUM_1: &[Field] = &[
    Fixed(2),
    CompactArray(&[
        Compact,
        CompactArray(&[
            Fixed(4 + 2 + 4 + 4 + 8),
            CompactArray(REPLICA_1),
            CompactArray(REPLICA_1),
            NO_TAGS,
        ]),
        NO_TAGS,
    ]),
    NO_TAGS,
];
const LISTENER: &[Field] = &[Compact, Compact, Fixed(2), NO_TAGS];
const QUORUM_2: &[Field] = &[
    Fixed(2),
    Compact,
    CompactArray(&[
        Compact,
        CompactArray(&[
            Fixed(4 + 2),
            Compact,
            Fixed(4 + 4 + 8),
            CompactArray(REPLICA_2),
            CompactArray(REPLICA_2),
            NO_TAGS,
        ]),
        NO_TAGS,
    ]),
    CompactArray(&[Fixed(4), CompactArray(LISTENER), NO_TAGS]),
    NO_TAGS,
];
call!(
    DescribeQuorumRequest => DescribeQuorumResponse, 55, "DescribeQuorum", (1, 2),
    |version| if version >= 2 { QUORUM_2 } else { QUORUM_1 }
);

const CLUSTER: &[Field] = &[
    Fixed(4 + 2),
    Compact,
    Fixed(1),
    Compact,
    Fixed(4),
    CompactArray(&[Fixed(4), Compact, Fixed(4), Compact, NO_TAGS]),
    Fixed(4),
    NO_TAGS,
];
call!(
    DescribeClusterRequest => DescribeClusterResponse, 60, "DescribeCluster", (1, 1), |_| CLUSTER
);

const VOTER_CHANGE: &[Field] = &[Fixed(4 + 2), Compact, NO_TAGS];
call!(AddRaftVoterRequest => AddRaftVoterResponse, 80, "AddRaftVoter", (0, 0), |_| VOTER_CHANGE);
call!(
    RemoveRaftVoterRequest => RemoveRaftVoterResponse, 81, "RemoveRaftVoter", (0, 0),
    |_| VOTER_CHANGE
);

const FEATURES_UPDATED: &[Field] =
    &[Fixed(4 + 2), Compact, CompactArray(&[Compact, Fixed(2), Compact, NO_TAGS]), NO_TAGS];
call!(
    UpdateFeaturesRequest => UpdateFeaturesResponse, 57, "UpdateFeatures", (1, 1),
    |_| FEATURES_UPDATED
);

const NUMBERS: Field = CompactArray(&[Fixed(4)]);
const METADATA: &[Field] = &[
    Fixed(4),
    CompactArray(&[Fixed(4), Compact, Fixed(4), Compact, NO_TAGS]),
    Compact,
    Fixed(4),
    CompactArray(&[
        Fixed(2),
        Compact,
        Fixed(16 + 1),
        CompactArray(&[Fixed(2 + 4 + 4 + 4), NUMBERS, NUMBERS, NUMBERS, NO_TAGS]),
        Fixed(4),
        NO_TAGS,
    ]),
    NO_TAGS,
];
call!(
    MetadataRequest => MetadataResponse, 3, "Metadata", (12, 12), |_| METADATA, LARGE_ANSWER_BYTES
);

const CONFIGS: &[Field] = &[
    Fixed(4),
    CompactArray(&[
        Fixed(2),
        Compact,
        Fixed(1),
        Compact,
        CompactArray(&[
            Compact,
            Compact,
            Fixed(1 + 1 + 1),
            CompactArray(&[Compact, Compact, Fixed(1), NO_TAGS]),
            Fixed(1),
            Compact,
            NO_TAGS,
        ]),
        NO_TAGS,
    ]),
    NO_TAGS,
];
call!(
    DescribeConfigsRequest => DescribeConfigsResponse, 32, "DescribeConfigs", (4, 4),
    |_| CONFIGS, LARGE_ANSWER_BYTES
);
