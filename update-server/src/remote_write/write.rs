//! A remote-write 1.0 request on the wire: `prometheus.WriteRequest` in protobuf, in a snappy block.
//!
//! Written by hand: four messages with seven fields in all (Prometheus' `prompb/remote.proto` and
//! `types.proto`). Labels are sorted by name, as the receiver demands.

/// Not a number, with the payload by which Prometheus knows that a series has ended.
pub(super) const STALE: u64 = 0x7ff0_0000_0000_0002;

const WRITE_REQUEST_TIMESERIES: u8 = 1;
const TIMESERIES_LABELS: u8 = 1;
const TIMESERIES_SAMPLES: u8 = 2;
const LABEL_NAME: u8 = 1;
const LABEL_VALUE: u8 = 2;
const SAMPLE_VALUE: u8 = 1;
const SAMPLE_TIMESTAMP: u8 = 2;

/// Wire types of protobuf.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// One sample of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// Name and value, the metric's name as `__name__`; in any order.
    pub(super) labels: Vec<(String, String)>,
    /// Bits of a double.
    pub(super) bits: u64,
    /// Milliseconds since 1970.
    pub(super) at_ms: i64,
}

/// Encodes and compresses samples; `None` if the compressor refuses, which it does for gigabytes.
pub(super) fn request(samples: Vec<Sample>) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    for sample in samples {
        field(&mut message, WRITE_REQUEST_TIMESERIES, &timeseries(sample));
    }
    snap::raw::Encoder::new().compress_vec(&message).ok()
}

fn timeseries(mut sample: Sample) -> Vec<u8> {
    sample.labels.sort();
    let mut message = Vec::new();
    for (name, value) in &sample.labels {
        let mut label = Vec::new();
        field(&mut label, LABEL_NAME, name.as_bytes());
        field(&mut label, LABEL_VALUE, value.as_bytes());
        field(&mut message, TIMESERIES_LABELS, &label);
    }
    let mut value = Vec::new();
    tag(&mut value, SAMPLE_VALUE, FIXED64);
    value.extend_from_slice(&sample.bits.to_le_bytes());
    tag(&mut value, SAMPLE_TIMESTAMP, VARINT);
    varint(&mut value, sample.at_ms.cast_unsigned());
    field(&mut message, TIMESERIES_SAMPLES, &value);
    message
}

fn tag(to: &mut Vec<u8>, number: u8, kind: u8) {
    // All numbers are below 16: one byte.
    to.push((number << 3) | kind);
}

fn field(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    tag(to, number, BYTES);
    varint(to, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7_u32;
        if value == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}
