//! How long does one ACD decision take? 1,000 agents, 200 queues, 500 waiting calls; target p99 below 1 ms.
//!
//! `cargo bench --bench acd`. A sample is one whole input as the switch would give it: the event, the decision with
//! its explanation, all outputs drained, the next timeout asked. Two kinds: an agent becomes free while 500 calls
//! wait (and takes one), and a call comes in while 500 wait and some agents are idle (and rings one).
//! The first row of each is CPU time of the thread: what the decision costs. The second is the wall clock, which on a
//! machine with other work shows that work as well (a time slice lost is 3 to 4 ms).

mod measure;

use std::time::{Duration, Instant};

use strowger::acd::{
    Acd, AgentEntry, CallEntry, Expression, Left, Outcome, Output, QueueSettings, RosterChange, Settings, Step,
};
use strowger::ids::{AgentName, CallId, IdSource, QueueName};
use strowger::tier::Tier;
use strowger::time::Time;

use measure::{cpu_time, print_machine};

const AGENTS: u32 = 1_000;
const QUEUES: u32 = 200;
const WAITING: usize = 500;
const SAMPLES: usize = 5_000;
const SKILLS: [&str; 6] = ["billing", "technical", "refunds", "en", "zh", "fr"];

fn main() {
    let mut centre = Centre::open();
    println!("ACD decision: {AGENTS} agents, {QUEUES} queues, {WAITING} calls waiting, {SAMPLES} samples each\n");
    println!("{:<46}{:>12}{:>12}{:>12}{:>12}", "", "p50", "p99", "p99.9", "worst");
    print_rows("an agent becomes free, looks at 500 calls", (0..SAMPLES).map(|_| centre.an_agent_becomes_free()));
    centre.hold_some_agents_idle();
    print_rows("a call comes in, looks at 1,000 agents", (0..SAMPLES).map(|_| centre.a_call_comes_in()));
    print_rows("a wait estimate, apart from any decision", (0..SAMPLES).map(|_| centre.an_estimate()));
    assert_eq!(centre.acd.check_invariants(centre.now), []);
    print_machine();
}

fn print_rows(what: &str, samples: impl Iterator<Item = Took>) {
    let (cpu, wall) = samples.map(|took| (took.cpu, took.wall)).unzip();
    print_row(what, cpu);
    print_row("  by the wall clock", wall);
}

fn print_row(what: &str, mut samples: Vec<Duration>) {
    samples.sort_unstable();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    let micros = |span: Duration| format!("{:.1} µs", span.as_secs_f64() * 1e6);
    let row = [at(0.5), at(0.99), at(0.999), at(1.0)].map(micros);
    println!("{what:<46}{:>12}{:>12}{:>12}{:>12}", row[0], row[1], row[2], row[3]);
}

/// A stretch of work, on the thread's CPU clock and on the wall's.
struct Took {
    cpu: Duration,
    wall: Duration,
}

impl Took {
    fn by<T>(work: impl FnOnce() -> T) -> (Took, T) {
        let (cpu, wall) = (cpu_time(), Instant::now());
        let result = work();
        (Took { cpu: cpu_time().saturating_sub(cpu), wall: wall.elapsed() }, result)
    }
}

/// A centre in which every agent talks and 500 calls wait.
struct Centre {
    acd: Acd,
    now: Time,
    dice: IdSource,
    next_call: u128,
    /// Who is on the phone.
    busy: Vec<AgentName>,
    waiting: Vec<CallId>,
}

impl Centre {
    fn open() -> Self {
        let settings = Settings { queues: (0..QUEUES).map(queue).collect(), ..Settings::default() };
        let acd = Acd::new(settings, 1).expect("the bench's settings are sound");
        let now = Time::from_secs(1_000_000);
        let (busy, waiting) = (Vec::new(), Vec::new());
        let mut centre = Self { acd, now, dice: IdSource::from_seed(7), next_call: 0, busy, waiting };
        for n in 0..AGENTS {
            centre.sign_in(n);
        }
        for _ in 0..WAITING {
            centre.enter(None);
        }
        centre
    }

    fn sign_in(&mut self, n: u32) {
        let mut agent = AgentEntry::named(format!("agent{n:04}").as_str());
        for skill in SKILLS {
            let level = self.dice.below(14);
            if (1..=10).contains(&level) {
                agent.skills.insert(skill.into(), u8::try_from(level).expect("at most 10"));
            }
        }
        let name = agent.name.clone();
        self.acd.handle_roster(self.now, RosterChange::Put(agent)).expect("within limits");
        self.acd.handle_sign_in(self.now, &name, true).expect("signed out before");
        self.acd.handle_live_legs(self.now, &name, 1).expect("on the roster");
        self.acd.handle_ready(self.now, &name).expect("registered");
        self.busy.push(name);
        self.drain();
    }

    fn enter(&mut self, queue: Option<QueueName>) -> CallId {
        self.next_call += 1;
        let call = CallId::from_u128(self.next_call);
        let queue = queue.unwrap_or_else(|| QueueName::new(format!("queue{:03}", self.dice.below(QUEUES))));
        let tier = [None, Some(Tier::Gold), Some(Tier::Iron)][self.dice.below(3) as usize];
        let entry = CallEntry { tier, language: Some("zh".into()), ..CallEntry::new(call, queue) };
        self.acd.handle_call_enters(self.now, entry).expect("there is room");
        self.waiting.push(call);
        self.drain();
        call
    }

    /// The agent whom the last outputs offered a call, and that call.
    fn drain(&mut self) -> Option<(CallId, AgentName)> {
        let mut offered = None;
        while let Some(output) = self.acd.poll_output() {
            if let Output::Offer(offer) = output {
                offered = offer.agents.first().cloned().map(|agent| (offer.call, agent));
            }
        }
        offered
    }

    fn an_agent_becomes_free(&mut self) -> Took {
        self.now += Duration::from_millis(50);
        let agent = self.busy[self.dice.below(AGENTS) as usize].clone();
        let (took, offered) = Took::by(|| {
            self.acd.handle_live_legs(self.now, &agent, 0).expect("on the roster");
            let offered = self.drain();
            let _ = self.acd.poll_timeout();
            offered
        });
        if let Some((call, agent)) = offered {
            let _ = self.acd.handle_offer_outcome(self.now, call, &agent, Outcome::Answered);
            self.waiting.retain(|waiting| *waiting != call);
            self.enter(None);
        } else {
            self.acd.handle_live_legs(self.now, &agent, 1).expect("on the roster");
            self.drain();
        }
        took
    }

    /// Two hundred agents become free and find nothing to do: all that waits is in one queue that only French can take.
    fn hold_some_agents_idle(&mut self) {
        for call in core::mem::take(&mut self.waiting) {
            self.acd.handle_call_leaves(self.now, call, Left::Moved).expect("it waits");
        }
        for _ in 0..WAITING {
            self.enter(Some("queue005".into()));
        }
        let mut freed = 0;
        for agent in self.busy.clone() {
            let abilities = self.acd.agent(self.now, &agent).expect("on the roster");
            if freed < 200 && !abilities.queues.contains(&"queue005".into()) {
                self.acd.handle_live_legs(self.now, &agent, 0).expect("on the roster");
                freed += 1;
            }
        }
        assert_eq!((self.drain(), freed), (None, 200));
    }

    fn a_call_comes_in(&mut self) -> Took {
        self.now += Duration::from_millis(50);
        self.next_call += 1;
        let call = CallId::from_u128(self.next_call);
        let queue = QueueName::new(format!("queue{:03}", self.dice.below(QUEUES / 6) * 6));
        let entry = CallEntry { language: Some("zh".into()), ..CallEntry::new(call, queue) };
        let (took, offered) = Took::by(|| {
            self.acd.handle_call_enters(self.now, entry).expect("there is room");
            let offered = self.drain();
            let _ = self.acd.poll_timeout();
            offered
        });
        assert!(offered.is_some(), "nobody took a call of an easy queue");
        self.acd.handle_call_leaves(self.now, call, Left::Abandoned).expect("it rings");
        self.drain();
        took
    }

    fn an_estimate(&mut self) -> Took {
        let call = self.waiting[self.dice.below(WAITING as u32) as usize];
        let (took, estimate) = Took::by(|| self.acd.estimate(self.now, call));
        assert!(estimate.is_some());
        took
    }
}

/// Six kinds of queues, each asking for a skill and, for the first 30 s, for more of it or for the caller's language.
fn queue(n: u32) -> QueueSettings {
    let mut rules = QueueSettings::named(QueueName::new(format!("queue{n:03}")));
    let skill = SKILLS[n as usize % SKILLS.len()];
    let read = |text: String| Some(Expression::parse(&text).expect("the bench's expressions are sound"));
    rules.length_limit = 2 * WAITING;
    rules.steps = vec![
        Step {
            expression: read(format!("{skill} >= 5 and (language or en >= 3)")),
            lasts: Duration::from_secs(30),
            skip_if_nobody: true,
        },
        Step { expression: read(format!("{skill} >= 2")), lasts: Duration::ZERO, skip_if_nobody: false },
    ];
    rules
}
