//! A play list being played: the next 20 ms of it, as samples or as a codec's payload, without a gap between sounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{Audience, Play, PlayId, Repeat, Sound};
use crate::audio::clip::Clip;
use crate::audio::tone::{Tone, TonePlan};
use crate::audio::{FRAME_LEN, Frame, SILENCE};
use crate::codec::Codec;

/// One play list and how far it has come.
#[derive(Debug)]
pub(super) struct Player {
    pub play: PlayId,
    pub to: Audience,
    clips: Vec<Arc<Clip>>,
    at: Position,
    repeat: Repeat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    clip: usize,
    sample: usize,
}

/// Tones made so far: one clip for each kind of each country.
pub(super) type ToneShelf = BTreeMap<(Tone, TonePlan), Arc<Clip>>;

impl Player {
    /// Gets a play list ready. `None` where it holds no sound: it is over before it begins.
    pub fn new(play: &Play, tones: &mut ToneShelf) -> Option<Self> {
        let clips: Vec<_> = play.sounds.iter().map(|sound| clip_of(sound, tones)).filter(|c| !c.is_empty()).collect();
        let at = Position { clip: 0, sample: 0 };
        (!clips.is_empty()).then_some(Self { play: play.play, to: play.to, clips, at, repeat: play.repeat })
    }

    /// The next frame as samples. Does not move on.
    pub fn samples(&self) -> Frame {
        let mut frame = SILENCE;
        self.walk(|to, clip, from, len| frame[to..to + len].copy_from_slice(&clip.samples()[from..from + len]));
        frame
    }

    /// The next frame as payload of `codec`, padded with silence. Does not move on.
    pub fn payload(&self, codec: Codec) -> [u8; FRAME_LEN] {
        let mut payload = [codec.silence_byte(); FRAME_LEN];
        self.walk(|to, clip, from, len| {
            payload[to..to + len].copy_from_slice(&clip.payload(codec)[from..from + len]);
        });
        payload
    }

    /// Moves on by a frame; `false` once everything has been played.
    pub fn advance(&mut self) -> bool {
        self.at = self.walk(|_, _, _, _| {});
        self.at.clip < self.clips.len()
    }

    /// Calls `copy(to, clip, from, len)` for each piece of the next frame, and says where it ends.
    fn walk(&self, mut copy: impl FnMut(usize, &Clip, usize, usize)) -> Position {
        let (mut at, mut filled) = (self.at, 0);
        while filled < FRAME_LEN {
            let Some(clip) = self.clips.get(at.clip) else { break };
            let len = (clip.len() - at.sample).min(FRAME_LEN - filled);
            copy(filled, clip, at.sample, len);
            filled += len;
            at.sample += len;
            if at.sample == clip.len() {
                at = self.after(at);
            }
        }
        at
    }

    fn after(&self, at: Position) -> Position {
        let next = at.clip + 1;
        let clip = if next == self.clips.len() && self.repeat == Repeat::Forever { 0 } else { next };
        Position { clip, sample: 0 }
    }
}

fn clip_of(sound: &Sound, tones: &mut ToneShelf) -> Arc<Clip> {
    match sound {
        Sound::Clip(clip) => clip.clone(),
        &Sound::Tone(tone, plan) => tones.entry((tone, plan)).or_insert_with(|| Arc::new(plan.clip(tone))).clone(),
        Sound::Silence(span) => Arc::new(Clip::silence("silence", (*span).min(LONGEST_SILENCE))),
    }
}

/// A pause in a play list is held to this.
const LONGEST_SILENCE: core::time::Duration = core::time::Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::media::command::RoomId;

    fn player(sounds: Vec<Sound>, repeat: Repeat) -> Option<Player> {
        let play = Play { room: RoomId(1), play: PlayId(1), to: Audience::Room, sounds, repeat };
        Player::new(&play, &mut ToneShelf::new())
    }

    fn clip(value: i16, len: usize) -> Sound {
        Sound::Clip(Arc::new(Clip::from_samples("c", vec![value; len])))
    }

    #[test]
    fn sounds_follow_each_other_without_a_gap() {
        let mut player = player(vec![clip(100, 200), clip(200, 30), clip(300, 100)], Repeat::Once).unwrap();
        assert_eq!(player.samples(), [100; FRAME_LEN]);
        assert!(player.advance());
        let second = player.samples();
        assert_eq!((second[39], second[40], second[69], second[70], second[159]), (100, 200, 200, 300, 300));
        assert!(player.advance());
        assert_eq!(player.samples()[9..11], [300, 0]);
        assert_eq!(player.payload(Codec::Pcma)[10], 0xD5);
        assert!(!player.advance());
    }

    #[test]
    fn music_goes_round() {
        let mut player = player(vec![clip(100, 100)], Repeat::Forever).unwrap();
        assert!((0..1_000).all(|_| player.samples() == [100; FRAME_LEN] && player.advance()));
    }

    #[test]
    fn nothing_to_play_is_over_before_it_begins() {
        assert!(player(vec![], Repeat::Once).is_none());
        assert!(player(vec![clip(1, 0), Sound::Silence(Duration::ZERO)], Repeat::Forever).is_none());
    }

    #[test]
    fn a_tone_is_made_once() {
        let mut tones = ToneShelf::new();
        let sounds = vec![Sound::Tone(Tone::Busy, TonePlan::China); 3];
        let play = Play { room: RoomId(1), play: PlayId(1), to: Audience::Room, sounds, repeat: Repeat::Once };
        assert_eq!(Player::new(&play, &mut tones).unwrap().clips.len(), 3);
        assert_eq!(tones.len(), 1);
    }
}
