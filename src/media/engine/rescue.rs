//! After a panic: the room at work is given up, every other call goes on.
//!
//! The shell catches what a step throws and says so by [`Engine::handle_defect`]. What the step has half done can only be
//! in its own room, on the wheel of phases and in scratch space: the room goes, the wheel is laid out anew.

use super::{Engine, Output, Place};
use crate::ids::RecordingId;
use crate::media::command::PortId;
use crate::media::event::MediaEvent;
use crate::media::recorder::RecordingWrite;

impl Engine {
    /// A step panicked. The ports of the room it worked on fail, `Closed` follows as ever; its recordings end readable.
    pub fn handle_defect(&mut self) {
        self.counters.defects += 1;
        // Taken first: should giving the room up panic as well, the next try leaves it alone.
        if let Some(at) = self.at_work.take() {
            self.give_up(at);
        }
        self.lay_out_wheel();
    }

    fn give_up(&mut self, at: usize) {
        let Some(mut room) = self.rooms.get_mut(at).and_then(Option::take) else { return };
        self.rooms_by_id.remove(&room.id);
        self.free.push(at);
        for recording in self.recordings_in(at) {
            self.recordings.remove(&recording);
            self.outputs.push_back(Output::Recording(RecordingWrite::End { recording }));
        }
        for (port, slot) in self.ports_in(at) {
            self.ports.remove(&port);
            let Some(leg) = room.leg_mut(slot) else { continue };
            let (rtp, rtcp, stats) = (leg.local, leg.local_rtcp(), leg.stats());
            for local in [Some(rtp), rtcp].into_iter().flatten() {
                self.by_local[usize::from(local.port())] = None;
            }
            self.outputs.push_back(Output::Release { rtp, rtcp });
            self.say(MediaEvent::PortFailed { port, reason: "a defect in the media engine".to_owned() });
            self.say(MediaEvent::Closed { port, stats });
        }
    }

    fn ports_in(&self, room: usize) -> Vec<(PortId, usize)> {
        let here = |(&port, place): (&PortId, &Place)| (place.room == room).then_some((port, place.slot));
        self.ports.iter().filter_map(here).collect()
    }

    fn recordings_in(&self, room: usize) -> Vec<RecordingId> {
        self.recordings.iter().filter(|&(_, &at)| at == room).map(|(&recording, _)| recording).collect()
    }

    fn lay_out_wheel(&mut self) {
        self.wheel.iter_mut().for_each(Vec::clear);
        for (at, room) in self.rooms.iter_mut().enumerate() {
            let Some(room) = room else { continue };
            room.on_wheel = room.is_active();
            if room.on_wheel {
                self.wheel[room.phase()].push(at);
            }
        }
    }
}
