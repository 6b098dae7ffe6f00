//! G.711 by tables: one load a sample each way, and a byte table between the two laws.
//!
//! Encoding looks up the upper 14 (μ) or 13 (A) bits of the sample, which is all the resolution the laws
//! have: 16 KiB and 8 KiB stay in the first-level cache where a 64 KiB table would not. (ITU-T G.711.)

/// Decodes μ-law bytes; the shorter slice decides how many.
pub fn decode_ulaw(payload: &[u8], samples: &mut [i16]) {
    for (sample, &byte) in samples.iter_mut().zip(payload) {
        *sample = ULAW_TO_LINEAR[usize::from(byte)];
    }
}

/// Decodes A-law bytes; the shorter slice decides how many.
pub fn decode_alaw(payload: &[u8], samples: &mut [i16]) {
    for (sample, &byte) in samples.iter_mut().zip(payload) {
        *sample = ALAW_TO_LINEAR[usize::from(byte)];
    }
}

/// Encodes to μ-law; the shorter slice decides how many.
pub fn encode_ulaw(samples: &[i16], payload: &mut [u8]) {
    for (byte, &sample) in payload.iter_mut().zip(samples) {
        *byte = LINEAR_TO_ULAW[usize::from(sample as u16 >> 2)];
    }
}

/// Encodes to A-law; the shorter slice decides how many.
pub fn encode_alaw(samples: &[i16], payload: &mut [u8]) {
    for (byte, &sample) in payload.iter_mut().zip(samples) {
        *byte = LINEAR_TO_ALAW[usize::from(sample as u16 >> 3)];
    }
}

/// Rewrites μ-law bytes as A-law.
pub fn ulaw_to_alaw(payload: &mut [u8]) {
    for byte in payload {
        *byte = ULAW_TO_ALAW[usize::from(*byte)];
    }
}

/// Rewrites A-law bytes as μ-law.
pub fn alaw_to_ulaw(payload: &mut [u8]) {
    for byte in payload {
        *byte = ALAW_TO_ULAW[usize::from(*byte)];
    }
}

static ULAW_TO_LINEAR: [i16; 256] = table_of_decoder(true);
static ALAW_TO_LINEAR: [i16; 256] = table_of_decoder(false);
static LINEAR_TO_ULAW: [u8; 1 << 14] = table_of_ulaw();
static LINEAR_TO_ALAW: [u8; 1 << 13] = table_of_alaw();
static ULAW_TO_ALAW: [u8; 256] = table_between(true);
static ALAW_TO_ULAW: [u8; 256] = table_between(false);

/// What the μ-law characteristic adds before the logarithm, on the 16-bit scale (G.711 table 2a).
const ULAW_BIAS: i32 = 0x84;
/// The largest magnitude μ-law can carry, on the 16-bit scale.
const ULAW_CLIP: i32 = 32_635;

const fn ulaw_from_linear(sample: i16) -> u8 {
    let value = sample as i32;
    let sign = if value < 0 { 0x80 } else { 0 };
    let magnitude = if value < 0 { -value } else { value };
    let biased = if magnitude > ULAW_CLIP { ULAW_CLIP } else { magnitude } + ULAW_BIAS;
    let segment = 31 - (biased as u32).leading_zeros() - 7;
    let step = (biased >> (segment + 3)) & 0x0F;
    !(sign | ((segment as u8) << 4) | step as u8)
}

const fn linear_from_ulaw(byte: u8) -> i16 {
    let bits = !byte;
    let segment = (bits >> 4) & 0x07;
    let step = (bits & 0x0F) as i32;
    let magnitude = (((step << 3) + ULAW_BIAS) << segment) - ULAW_BIAS;
    (if bits & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

const fn alaw_from_linear(sample: i16) -> u8 {
    // On the 13-bit scale, with the sign kept apart; even bits are inverted on the wire (G.711 §3.2).
    let value = (sample as i32) >> 3;
    let (mask, magnitude) = if value >= 0 { (0xD5, value) } else { (0x55, -value - 1) };
    let segment = if magnitude < 32 { 0 } else { 31 - (magnitude as u32).leading_zeros() - 4 };
    let step = (if segment < 2 { magnitude >> 1 } else { magnitude >> segment }) & 0x0F;
    (((segment as u8) << 4) | step as u8) ^ mask
}

const fn linear_from_alaw(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let segment = (bits >> 4) & 0x07;
    let step = (bits & 0x0F) as i32;
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    (if bits & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

const fn table_of_decoder(ulaw: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = if ulaw { linear_from_ulaw(byte as u8) } else { linear_from_alaw(byte as u8) };
        byte += 1;
    }
    table
}

const fn table_of_ulaw() -> [u8; 1 << 14] {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < table.len() {
        table[index] = ulaw_from_linear((index << 2) as u16 as i16);
        index += 1;
    }
    table
}

const fn table_of_alaw() -> [u8; 1 << 13] {
    let mut table = [0; 1 << 13];
    let mut index = 0;
    while index < table.len() {
        table[index] = alaw_from_linear((index << 3) as u16 as i16);
        index += 1;
    }
    table
}

const fn table_between(from_ulaw: bool) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = if from_ulaw {
            alaw_from_linear(linear_from_ulaw(byte as u8))
        } else {
            ulaw_from_linear(linear_from_alaw(byte as u8))
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(law: fn(&[u8], &mut [i16]), byte: u8) -> i16 {
        let mut sample = [0];
        law(&[byte], &mut sample);
        sample[0]
    }

    fn encode(law: fn(&[i16], &mut [u8]), sample: i16) -> u8 {
        let mut byte = [0];
        law(&[sample], &mut byte);
        byte[0]
    }

    #[test]
    fn the_ends_and_the_middle_are_those_of_g711() {
        for (byte, sample) in [(0x00, -32_124), (0x80, 32_124), (0x7F, 0), (0xFF, 0), (0x8F, 16_764), (0xF0, 120)] {
            assert_eq!(decode(decode_ulaw, byte), sample, "mu-law {byte:#04x}");
        }
        for (byte, sample) in [(0x2A, -32_256), (0xAA, 32_256), (0x55, -8), (0xD5, 8), (0x80, 5_504), (0xC5, 264)] {
            assert_eq!(decode(decode_alaw, byte), sample, "A-law {byte:#04x}");
        }
    }

    #[test]
    fn every_byte_survives_decoding_and_encoding() {
        for byte in 0..=255u8 {
            let again = encode(encode_ulaw, decode(decode_ulaw, byte));
            // μ-law has two zeros; they become one.
            assert!(again == byte || (byte == 0x7F && again == 0xFF), "mu-law {byte:#04x} {again:#04x}");
            assert_eq!(encode(encode_alaw, decode(decode_alaw, byte)), byte, "A-law");
        }
    }

    #[test]
    fn the_error_stays_within_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(sample).abs();
            // A step is 1/16 of its segment, so half a step is about 1/32 of the magnitude; the smallest step is
            // 8 (μ) or 16 (A), and magnitudes beyond the top clip. Two more for looking up 14 bits, eight for 13.
            let near = |decoded: i16, floor: i32| {
                let error = (i32::from(decoded) - i32::from(sample)).abs();
                error <= magnitude / 30 + floor || magnitude > 32_124
            };
            assert!(near(decode(decode_ulaw, encode(encode_ulaw, sample)), 10), "mu-law {sample}");
            assert!(near(decode(decode_alaw, encode(encode_alaw, sample)), 16), "A-law {sample}");
        }
    }

    #[test]
    fn slices_of_different_length_take_the_shorter() {
        let mut samples = [7; 4];
        decode_ulaw(&[0xFF, 0xFF], &mut samples);
        assert_eq!(samples, [0, 0, 7, 7]);
        let mut payload = [1; 2];
        encode_alaw(&[0; 9], &mut payload);
        assert_eq!(payload, [0xD5; 2]);
    }
}
