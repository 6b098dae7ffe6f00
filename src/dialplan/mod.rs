//! Dialplans: named states, each with one action and its edges; read, proved, drawn.
//!
//! A dialplan is one TOML file, `dialplans/NAME.toml`. [`load()`] reads all of them, proves what is promised (no
//! dead end, no endless loop, no missing prompt, no leaking secret, always a human) and links them into a [`Book`];
//! what it refuses, it refuses with file, line, reason and mend. The machine in `ivr` walks the book.
//!
//! # The format, by example
//!
//! ```toml
//! about = "Bank: balance by PIN, else a person"
//! start = "welcome"                # the first state
//! languages = ["en", "zh"]         # the first is for calls that come in none of them; left out: every language
//! currency = "CNY"                 # what `money` is spoken in; CNY where left out
//!
//! [vars]                           # text, number, money, digits, bool, date, secret
//! account = "digits"
//! balance = "money"
//! tries = 0                        # a value says the type and sets it
//! limit = { type = "money", value = "5000.00" }
//!
//! [customer]                       # what it reads of the customer's record beside name, tier, language, number
//! branch_city = "text"
//!
//! [state.welcome]
//! play = "bank/welcome"            # one prompt, or a list that mixes prompts and values
//! next = "who"
//!
//! [state.who]
//! lookup = "call.caller"           # an expression; by = "number" (default) or "account"
//! timeout_ms = 1500
//! next = "known"                   # found
//! not_found = "agent"
//! timeout = "agent"                # every outside step says what happens when there is no answer …
//! failed = "agent"                 # … and when it fails
//!
//! [state.known]
//! play = ["hello", { clip = "customer.name", in = "names", otherwise = "dear_customer" }]
//! next = "main"
//!
//! [state.main]
//! menu = "bank/main"
//! keys = { 1 = "pin", 0 = "agent" }
//! timeout_s = 5                    # silence after the prompt; 5 where left out
//! retries = 2                      # asks again after silence or a wrong key; 2 where left out
//! no_input = "still_there"         # spoken before asking again
//! no_match = "not_understood"
//! failed = "agent"                 # after the last retry; timeout = where the last answer was silence
//!
//! [state.pin]
//! authenticate = "pin"             # pin, birth_date, id_last4
//! ask = "enter_pin"
//! next = "balance"
//! denied = "agent"
//! timeout = "agent"
//! failed = "agent"
//!
//! [state.balance]
//! http = "https://core.bank.example/balance"
//! query = { number = "call.caller" }
//! headers = { authorization = { env = "BANK_TOKEN" } }
//! into = { balance = "/balance" }  # variable = where the JSON answer holds it (RFC 6901)
//! timeout_ms = 2000
//! next = "tell"
//! status = { 404 = "agent" }
//! timeout = "agent"
//! failed = "agent"
//!
//! [state.tell]
//! say = ["your_balance_is", { money = "balance" }]
//! next = "main"
//!
//! [state.agent]
//! queue = "service"
//! priority = 'if has(customer.tier) { 5 } else { 0 }'
//! attach = { dialled = "call.called" }  # goes to the agent's screen with the offer; ["account"] for variables
//! max_wait_s = 300
//! keys = { 1 = "message" }         # leaves the queue
//! timeout = "message"
//! failed = "message"               # full, closed, no_agents: edges of their own where wanted
//!
//! [state.message]
//! voicemail = "service"
//! greeting = "leave_a_message"
//! failed = "bye"
//!
//! [state.bye]
//! hangup = "goodbye"               # or hangup = true
//! ```
//!
//! # Actions and their keys
//!
//! Every state may have `note` (shown in drawings) and `max_visits = N` with `exhausted = "state"`. Edges are keys
//! whose value is a state's name; those in *italics* may be left out.
//!
//! | action | its value | further keys | edges |
//! |---|---|---|---|
//! | `play`, `say` | prompts | `barge_in` | `next` |
//! | `menu` | prompts | asking, `keys` | each key, `failed`, *`timeout`* (else `failed`) |
//! | `collect` | prompts | asking, entry, `into`, `valid` | `next`, `failed`, *`timeout`* (else `failed`) |
//! | `secure` | prompts | asking, entry, `into` (a secret), `last4` | as `collect` |
//! | `set` | `{ variable = "expression" }` | | `next` |
//! | `branch` | `[{ if = "expression", go = "state" }, …]` | | each case, `otherwise` |
//! | `hours` | name of opening hours | | `open`, `closed`, *`holiday`* (else `closed`) |
//! | `language` | tag, or `{ of = "expression", otherwise = "tag" }` | | `next` |
//! | `consent` | `true` or `false`: may the call be recorded | | `next` |
//! | `lookup` | expression: the number | `by`, `timeout_ms` | `next`, `not_found`, `timeout`, `failed` |
//! | `http` | URL with `{expression}` holes | `method`, `query`, `headers`, `body`, `into`, `confidential`, `retries`, `timeout_ms` | `next`, *`status`*, `timeout`, `failed` |
//! | `script` | Rhai | `reads`, `writes` | `next`, `failed` |
//! | `authenticate` | `pin`, `birth_date`, `id_last4` | `ask`, asking, `timeout_ms` | `next`, `denied`, *`locked`* (else `denied`), `timeout`, `failed` |
//! | `queue` | name of a queue | `priority`, `skills`, `attach`, `max_wait_s`, `keys` | `timeout`, `failed`, *`full`*, *`closed`*, *`no_agents`* (else `failed`) |
//! | `dial` | number, `{ of = "expression" }`, or `{ account = "expression" }`: our own phones alone | `ring_s`, `caller_id` | `timeout`, `failed`, *`busy`* (else `failed`), *`next`* (else the end) |
//! | `voicemail` | name of the box | `greeting`, `beep`, `max_s`, `silence_s` | `failed`, *`next`* (else the end) |
//! | `page` | name of a dialplan | `give`, `take` | `outcomes = { outcome = "state" }`, or `next` where there is one |
//! | `return` | outcome, in a page only | | |
//! | `hangup` | prompts, or `true` | | |
//!
//! *Asking* is `timeout_s`, `retries`, `no_input`, `no_match`, `barge_in`. *Entry* is `digits` or `min` and `max`,
//! `terminator` (`"#"`; `""` for none), `between_keys_s`, `luhn`. A piece of speech is a prompt's name or one of
//! `{ number = … }`, `{ digits = … }`, `{ money = …, currency = "USD" }`, `{ date = … }`, `{ position = … }`,
//! `{ wait = … }` (seconds), `{ clip = …, in = "folder", otherwise = "prompt" }`, where … is an expression.
//!
//! # Pages
//!
//! A dialplan with `returns = ["verified", "denied"]` is a page: others call it. `[params]` are variables it is given,
//! `[results]` variables it must have set before each `return`; both are declared as `[vars]` are.
//! With `needs_customer = true` a page is called only where a `lookup` has found the customer's record.
//!
//! # Expressions
//!
//! Rhai's syntax: `+ - * / %`, comparisons, `&& || !`, `in [..]`, `if … { … } else { … }`, texts and `` `…${x}…` ``;
//! the dialplan's variables; `call.caller`, `called`, `trunk`, `language`, `verified`, `date`, `hour`, `weekday`,
//! `open` (the called number's hours hold);
//! `customer.…` after a `lookup` has found the record, `has(customer.…)` at any time; `header("X-Account")`;
//! `waiting("sales")`, `wait_s("sales")`, `agents("sales")`; `len starts_with ends_with contains first last text
//! number month day`; constants `money("12.50")` and `date("2026-02-17")`. `/` and `%` want a constant on the right.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

mod check;
pub mod context;
#[cfg(test)]
mod corpus;
pub mod coverage;
pub mod draw;
pub mod expr;
pub mod facts;
mod load;
pub mod model;
mod parse;
mod sandbox;
pub mod scenario;
mod table;
mod typing;
pub mod value;
mod walk;

pub use context::{Names, PromptCatalogue, ReadSkills, SkillsFault};
pub use load::{Loaded, load};
pub use model::{Book, Dialplan};
pub use sandbox::{Script, ScriptError};
