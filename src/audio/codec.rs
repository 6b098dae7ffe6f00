//! What a codec makes of a frame: a payload, and back.

use super::g711;
use crate::codec::Codec;

impl Codec {
    /// The byte that decodes to silence.
    pub const fn silence_byte(self) -> u8 {
        match self {
            Codec::Pcmu => 0xFF,
            Codec::Pcma => 0xD5,
        }
    }

    /// Encodes as many samples as fit: one byte a sample, up to the shorter of the two slices.
    pub fn encode(self, samples: &[i16], payload: &mut [u8]) {
        match self {
            Codec::Pcmu => g711::encode_ulaw(samples, payload),
            Codec::Pcma => g711::encode_alaw(samples, payload),
        }
    }

    /// Decodes as many bytes as fit: one sample a byte, up to the shorter of the two slices.
    pub fn decode(self, payload: &[u8], samples: &mut [i16]) {
        match self {
            Codec::Pcmu => g711::decode_ulaw(payload, samples),
            Codec::Pcma => g711::decode_alaw(payload, samples),
        }
    }

    /// Turns a payload of this codec into one of `to` in place, by a byte table; same codec, no work.
    pub fn convert(self, to: Codec, payload: &mut [u8]) {
        match (self, to) {
            (Codec::Pcmu, Codec::Pcma) => g711::ulaw_to_alaw(payload),
            (Codec::Pcma, Codec::Pcmu) => g711::alaw_to_ulaw(payload),
            (Codec::Pcmu, Codec::Pcmu) | (Codec::Pcma, Codec::Pcma) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silence_byte_decodes_to_near_silence() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            let mut sample = [i16::MAX];
            codec.decode(&[codec.silence_byte()], &mut sample);
            assert!(sample[0].abs() <= 8, "{codec:?} {}", sample[0]);
        }
    }

    #[test]
    fn converting_equals_decoding_and_encoding() {
        for (from, to) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcma, Codec::Pcmu), (Codec::Pcmu, Codec::Pcmu)] {
            let mut payload: Vec<u8> = (0..=255).collect();
            let (mut samples, mut expected) = ([0; 256], [0; 256]);
            from.decode(&payload, &mut samples);
            to.encode(&samples, &mut expected);
            from.convert(to, &mut payload);
            if from != to {
                assert_eq!(payload, expected);
            } else {
                assert_eq!(payload, (0..=255).collect::<Vec<u8>>());
            }
        }
    }
}
