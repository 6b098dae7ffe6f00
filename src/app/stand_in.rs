//! The sample's company systems: one small HTTP server on loopback that answers for the bank's core, the airline's
//! bags, the laptops' warranty and the weather, out of `demo/systems.toml`.
//!
//! ```text
//! GET  /balance?number=+86…&account=…      200 { "balance": "12.50" }, 404 nobody's
//! POST /payments { bill, amount, card }    201, 402 the card is declined, 422 no payment
//! GET  /tags/{bag}                         200 { "status": "found" }, 404
//! GET  /serials/{serial}                   200 { "model": "…", "until": "2029-03-31" }, 404
//! GET  /v1/today?city=…                    200 { "sky": "rain", "low": 9, "high": 14 }, 404
//! ```

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::crm::Customer;
use crate::runtime::answers::StandIns;

const SYSTEMS: &str = "systems.toml";
/// The hosts that the sample's dialplans ask.
const HOSTS: [&str; 4] = ["core.bank.example", "bags.airline.example", "warranty.laptop.example", "weather.example"];

/// `demo/systems.toml`, and whose account is whose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Systems {
    bank: Bank,
    bags: BTreeMap<String, String>,
    warranty: BTreeMap<String, Warranty>,
    weather: BTreeMap<String, Weather>,
    /// Accounts by phone.
    #[serde(skip)]
    accounts: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bank {
    declined: Vec<String>,
    balances: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Warranty {
    model: String,
    until: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Weather {
    sky: String,
    low: i32,
    high: i32,
}

impl Systems {
    pub fn read(folder: &Path, customers: &[Customer]) -> anyhow::Result<Self> {
        let path = folder.join(SYSTEMS);
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut systems: Self =
            toml::from_str(&text).with_context(|| format!("{} is not understood", path.display()))?;
        for customer in customers {
            let Some(account) = customer.attributes.get("account") else { continue };
            systems.accounts.extend(customer.phones.iter().map(|phone| (phone.to_string(), account.clone())));
        }
        Ok(systems)
    }

    /// Answers on a free port of loopback from here on, for every host of the sample's.
    pub async fn open(self) -> anyhow::Result<StandIns> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("the sample's company systems find no port on loopback")?;
        let address: SocketAddr = listener.local_addr()?;
        let routes = Router::new()
            .route("/balance", get(balance))
            .route("/payments", post(pay))
            .route("/tags/{bag}", get(tag))
            .route("/serials/{serial}", get(serial))
            .route("/v1/today", get(today))
            .with_state(Arc::new(self));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(HOSTS.map(|host| (host.to_owned(), address)).into())
    }
}

type Answer = Result<Json<serde_json::Value>, StatusCode>;

fn found(known: Option<impl Serialize>) -> Answer {
    let known = known.ok_or(StatusCode::NOT_FOUND)?;
    serde_json::to_value(known).map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

#[derive(Deserialize)]
struct Holder {
    #[serde(default)]
    number: String,
    #[serde(default)]
    account: String,
}

/// The account that was keyed, or else the caller's.
async fn balance(State(systems): State<Arc<Systems>>, Query(holder): Query<Holder>) -> Answer {
    let account = match holder.account.is_empty() {
        true => systems.accounts.get(&holder.number).ok_or(StatusCode::NOT_FOUND)?,
        false => &holder.account,
    };
    let balance = systems.bank.balances.get(account);
    found(balance.map(|balance| serde_json::json!({ "balance": balance })))
}

#[derive(Deserialize)]
struct Payment {
    bill: String,
    card: String,
}

async fn pay(State(systems): State<Arc<Systems>>, Json(payment): Json<Payment>) -> StatusCode {
    match payment {
        Payment { bill, card } if bill.is_empty() || card.is_empty() => StatusCode::UNPROCESSABLE_ENTITY,
        Payment { card, .. } if systems.bank.declined.contains(&card) => StatusCode::PAYMENT_REQUIRED,
        Payment { .. } => StatusCode::CREATED,
    }
}

async fn tag(State(systems): State<Arc<Systems>>, Segment(bag): Segment<String>) -> Answer {
    found(systems.bags.get(&bag).map(|status| serde_json::json!({ "status": status })))
}

async fn serial(State(systems): State<Arc<Systems>>, Segment(serial): Segment<String>) -> Answer {
    found(systems.warranty.get(&serial))
}

#[derive(Deserialize)]
struct Place {
    city: String,
}

async fn today(State(systems): State<Arc<Systems>>, Query(place): Query<Place>) -> Answer {
    found(systems.weather.get(&place.city))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::sample;
    use super::*;
    use crate::config::prompts::read_prompts;
    use crate::ids::{Language, PromptName};
    use crate::number::{Home, country};
    use crate::time::Time;

    fn systems() -> Systems {
        let folder = Path::new("demo");
        let china = country("86").unwrap();
        let cards = sample::cards(&sample::source(folder, sample::CUSTOMERS).unwrap(), &Home::new(china), Time::EPOCH);
        Systems::read(folder, &cards.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_samples_customers_are_answered_as_the_dialplans_ask() {
        let open = systems().open().await.unwrap();
        let at = open["core.bank.example"];
        let ask = async |path: &str| {
            let answer = reqwest::get(format!("http://{at}{path}")).await.unwrap();
            (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap_or_default())
        };
        let balance = serde_json::json!({ "balance": "12840.50" });
        assert_eq!(ask("/balance?number=%2B8613800138000&account=").await, (200, balance.clone()));
        assert_eq!(ask("/balance?number=2001&account=1000000001").await, (200, balance));
        assert_eq!(ask("/balance?number=2001&account=").await.0, 404);
        assert_eq!(ask("/tags/0012345678").await, (200, serde_json::json!({ "status": "found" })));
        assert_eq!(ask("/tags/9999999999").await.0, 404);
        assert_eq!(ask("/serials/20260001").await.1["until"], "2029-03-31");
        assert_eq!(ask("/v1/today?city=shanghai").await.1["sky"], "rain");
        let pay = async |card: &str| {
            let body = serde_json::json!({ "bill": "20261121", "amount": "88.50", "card": card });
            let sent = reqwest::Client::new().post(format!("http://{at}/payments")).json(&body).send().await;
            sent.unwrap().status().as_u16()
        };
        assert_eq!((pay("4111111111111111").await, pay("4000000000000002").await), (201, 402));
    }

    #[test]
    fn every_system_that_a_shipped_dialplan_asks_has_somebody_who_answers() {
        let mut asked = BTreeSet::new();
        for entry in std::fs::read_dir("dialplans").unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let table: toml::Table = toml::from_str(&text).unwrap();
            let states = table.get("state").and_then(|states| states.as_table()).into_iter().flatten();
            let urls = states.filter_map(|(_, state)| state.get("http")?.as_str());
            asked.extend(urls.map(|url| url.split('/').nth(2).unwrap().to_owned()));
        }
        assert_eq!(asked, HOSTS.map(str::to_owned).into());
    }

    #[test]
    fn whatever_they_answer_can_be_said_in_both_languages() {
        let Systems { bags, weather, accounts, bank, .. } = systems();
        let recorded = read_prompts(Path::new("prompts"));
        let skies = weather.values().map(|weather| format!("info/sky/{}", weather.sky));
        let cities = weather.keys().map(|city| format!("info/city/{city}"));
        let bags = bags.values().map(|status| format!("airline/bag/{status}"));
        for prompt in skies.chain(cities).chain(bags) {
            for language in ["en", "zh"] {
                let said = recorded.catalogue.words(&Language::new(language), &PromptName::new(&prompt));
                assert!(said.is_some(), "{prompt} in {language}");
            }
        }
        for account in accounts.values() {
            assert!(bank.balances.contains_key(account), "{account} has no balance");
        }
    }
}
