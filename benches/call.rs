//! What does a whole inbound call cost the switch, in time, in allocations and in memory?
//!
//! `cargo bench --bench call [-- CALLS]`. A simulated centre runs once without faults: callers on trunks, the IVR with
//! keys and look-ups, a queue by skills, agents with desk phones, recordings, wrap-up. What its switch was told is
//! kept and told again to a fresh switch, round by round, and the outside world costs nothing any more. An input is a
//! SIP message that has been read (`benches/message.rs` has the price of that), a media event, a reply, an order, a
//! deadline; what the switch wants done is drained and dropped.
//! `cargo bench --bench call -- CALLS once` tells it once and nothing else: for `valgrind --tool=callgrind`.

mod measure;

use std::time::{Duration, Instant};

use strowger::app::sim::centre;
use strowger::event::Fact;
use strowger::sim::seed::Setting;
use strowger::sim::world::Tape;
use strowger::switch::{Effect, Input, Switch};
use strowger::time::Time;

use measure::{allocations, cpu_time, live_bytes, median, print_machine};

const CALLS: u32 = 2_000;
const AGENTS: u32 = 100;
const ROUNDS: usize = 7;
/// One whose phones and trunks speak UDP over IPv4.
const SEED: u64 = 8;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let calls = args.next().and_then(|calls| calls.parse().ok()).unwrap_or(CALLS);
    let setting = Setting { calls, agents: AGENTS, calm: true, check_every: 1_000, ..Setting::short(SEED) };
    let centre = centre().expect("the simulated centre loads");
    let tape = Tape::record(&setting, &centre).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")));
    if args.next().as_deref() == Some("once") {
        let mut switch = tape.switch();
        for (now, input) in &tape.inputs {
            tell(&mut switch, *now, input.clone());
        }
        return;
    }
    let mut per_call = Vec::with_capacity(ROUNDS);
    let mut spans = Vec::new();
    let mut sums = Sums::default();
    for _ in 0..ROUNDS {
        let inputs = tape.inputs.clone();
        let mut switch = tape.switch();
        sums = Sums::default();
        let (begun, allocated) = (cpu_time(), allocations());
        for (now, input) in inputs {
            sums.take(tell(&mut switch, now, input));
        }
        per_call.push((cpu_time() - begun).as_secs_f64() * 1e6 / f64::from(calls));
        sums.allocations = allocations() - allocated;
        spans = every_span(&tape);
    }
    assert!(sums.talks > u64::from(calls) / 2, "too few calls met an agent: {}", sums.talks);
    let each = |sum: u64| sum as f64 / f64::from(calls);
    println!("{calls} calls and {AGENTS} agents in 20 virtual minutes, {ROUNDS} rounds, CPU time of the thread\n");
    println!("{:<46}{:>12.0} µs", "a call, from INVITE to its record", median(&mut per_call));
    println!("{:<46}{:>12.0}", "  inputs", each(tape.inputs.len() as u64));
    println!("{:<46}{:>12.0}", "  SIP messages sent", each(sums.sent));
    println!("{:<46}{:>12.0}", "  events", each(sums.events));
    println!("{:<46}{:>12.2}", "  talks with an agent", each(sums.talks));
    println!("{:<46}{:>12.0}", "  allocations", each(sums.allocations));
    spans.sort_unstable();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("{:<46}{:>12.1} µs", "one input, p50", at(0.5));
    println!("{:<46}{:>12.1} µs", "one input, p99", at(0.99));
    println!("{:<46}{:>12.1} µs", "one input, p99.9", at(0.999));
    let (calls, bytes) = memory(&tape);
    println!("{:<46}{:>12.1} kB", format!("memory a call, with {calls} calls at once"), bytes / 1_000.0);
    print_machine();
}

/// What came of one round.
#[derive(Default)]
struct Sums {
    sent: u64,
    events: u64,
    talks: u64,
    allocations: u64,
}

impl Sums {
    fn take(&mut self, effects: Told) {
        self.sent += effects.sent;
        self.events += effects.events;
        self.talks += effects.talks;
    }
}

/// What one input set off.
#[derive(Default)]
struct Told {
    sent: u64,
    events: u64,
    talks: u64,
}

fn tell(switch: &mut Switch, now: Time, input: Input) -> Told {
    switch.handle(now, input);
    let mut told = Told::default();
    while let Some(effect) = switch.poll_effect() {
        match effect {
            Effect::Send(_) => told.sent += 1,
            Effect::Emit(event) => {
                told.events += 1;
                told.talks += u64::from(matches!(event.fact, Fact::LegsConnected { .. }));
            }
            _ => {}
        }
    }
    // The shell asks after every input.
    std::hint::black_box(switch.poll_timeout());
    told
}

/// How long each input keeps the switch, by the wall clock.
fn every_span(tape: &Tape) -> Vec<Duration> {
    let mut switch = tape.switch();
    let inputs = tape.inputs.clone();
    inputs
        .into_iter()
        .map(|(now, input)| {
            let begun = Instant::now();
            tell(&mut switch, now, input);
            begun.elapsed()
        })
        .collect()
}

/// How many calls there are at the busiest moment, and how much less memory the switch has for each when all are over.
fn memory(tape: &Tape) -> (usize, f64) {
    let mut switch = tape.switch();
    let (mut most, mut at_most) = (0, 0);
    for (now, input) in &tape.inputs {
        tell(&mut switch, *now, input.clone());
        if switch.levels().calls > most {
            (most, at_most) = (switch.levels().calls, live_bytes());
        }
    }
    assert_eq!(switch.levels().calls, 0);
    (most, (at_most - live_bytes()) as f64 / most as f64)
}
