//! Slow questions answered: the customer's record, company systems, credentials, host names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::Url;
use tokio::sync::watch;

use crate::crm::{self, Customer, Interaction};
use crate::dialplan::facts::CustomerFacts;
use crate::dialplan::model::{Credential, Method};
use crate::dialplan::value::Value;
use crate::ids::{CustomerId, Language};
use crate::ivr::effect::HeaderValue;
use crate::ivr::{Compared, HttpCall};
use crate::limits::runtime::ANSWER_BYTES;
use crate::net::resolve;
use crate::plan::Zone;
use crate::runtime::clock::SystemClock;
use crate::runtime::switch_thread::SwitchHandle;
use crate::runtime::tries::Tries;
use crate::store::customer_secret::without_secrets;
use crate::store::view::key;
use crate::store::{View, ViewError, password};
use crate::switch::{Edition, Input, Known, Query, Reply, RequestId};
use crate::time::Time;

/// Contacts read for a card.
const MOST_CONTACTS: usize = 200;

/// Who answers in a company system's place, in plain HTTP: by the host of a dialplan's URL. It is given no token.
pub type StandIns = BTreeMap<String, SocketAddr>;

/// Answers the switch's questions on the asynchronous side.
#[derive(Clone)]
pub struct Answers {
    view: Arc<dyn View>,
    clock: SystemClock,
    /// Its time zone says when a month begins, its language what a card is written in.
    edition: watch::Receiver<Arc<Edition>>,
    http: reqwest::Client,
    stand_ins: Arc<StandIns>,
    tries: Arc<Tries>,
}

impl Answers {
    pub fn new(
        view: Arc<dyn View>,
        clock: SystemClock,
        edition: watch::Receiver<Arc<Edition>>,
        stand_ins: StandIns,
    ) -> Result<Self, reqwest::Error> {
        // A redirect could lead a token to another host.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        // Stand-ins are on this machine, wherever its proxy is.
        let http = if stand_ins.is_empty() { http } else { http.no_proxy() }.build()?;
        Ok(Self { view, clock, edition, http, stand_ins: Arc::new(stand_ins), tries: Arc::default() })
    }

    /// Works on one question and hands the reply to the switch.
    pub fn answer(
        &self,
        runtime: &tokio::runtime::Handle,
        switch: SwitchHandle,
        request: RequestId,
        query: Query,
        deadline: Time,
    ) {
        let this = self.clone();
        runtime.spawn(async move {
            let asked = asked(&query);
            let reply = this.reply(query, deadline).await;
            if let Some(reason) = trouble(&reply) {
                tracing::warn!(%asked, %reason, "a question was not answered");
            }
            // Where the switch is behind, its own deadline answers.
            let _ = switch.input_kept(Input::Reply { request, reply });
        });
    }

    async fn reply(&self, query: Query, deadline: Time) -> Reply {
        let blocking = |this: Self, work: fn(&Self, Query) -> Result<Reply, ViewError>, query: Query| async move {
            match tokio::task::spawn_blocking(move || work(&this, query)).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(error)) => Reply::Failed(error.to_string()),
                Err(error) => Reply::Failed(error.to_string()),
            }
        };
        match query {
            Query::Customer { .. } | Query::Account { .. } => blocking(self.clone(), Self::customer, query).await,
            Query::Credential { .. } => blocking(self.clone(), Self::credential, query).await,
            Query::Http(call) => self.http(call, deadline).await,
            Query::Resolve(name) => match resolve::resolve(&name).await {
                Ok(hops) => Reply::Resolved(hops),
                Err(error) => Reply::Failed(error.to_string()),
            },
        }
    }

    // -- customers ---------------------------------------------------------------------------------------------------

    fn customer(&self, query: Query) -> Result<Reply, ViewError> {
        let found = match query {
            Query::Customer { number } => self.by_number(&number)?,
            Query::Account { number } => self.by_account(&number)?,
            _ => None,
        };
        let Some(customer) = found.map(without_secrets) else { return Ok(Reply::Customer(None)) };
        let past = self.contacts(customer.id)?;
        let plan = self.edition.borrow().plan.clone();
        let card = crm::card::compose(&customer, &past, self.month_start(&plan.time_zone), None, &plan.language);
        let facts = facts_of(&customer, card.contacts_this_month);
        Ok(Reply::Customer(Some(Box::new(Known { card, facts }))))
    }

    /// The one customer with this number; several are the agent's to choose from.
    fn by_number(&self, number: &str) -> Result<Option<Customer>, ViewError> {
        let rows = self.view.range(&key::customers_of_phone(number), None, 2)?;
        match rows.as_slice() {
            [row] => self.read(&row.value),
            _ => Ok(None),
        }
    }

    /// By the number in the company's books: the attribute `account`.
    fn by_account(&self, account: &str) -> Result<Option<Customer>, ViewError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = self.view.range(&key::customers(), after.as_deref(), 1_000)?;
            let customers = rows.iter().filter_map(|row| serde_json::from_slice::<Customer>(&row.value).ok());
            let mut wanted = customers.filter(|c| c.attributes.get("account").is_some_and(|known| known == account));
            if let Some(customer) = wanted.next() {
                return Ok(Some(customer));
            }
            match rows.last() {
                Some(last) => after = Some(last.key.clone()),
                None => return Ok(None),
            }
        }
    }

    fn read<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, ViewError> {
        Ok(self.view.get(key)?.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    fn contacts(&self, customer: CustomerId) -> Result<Vec<Interaction>, ViewError> {
        let index = self.view.range_back(&key::of_customer(customer), None, MOST_CONTACTS)?;
        let mut contacts = Vec::with_capacity(index.len());
        for row in index {
            contacts.extend(self.read(&row.value)?);
        }
        Ok(contacts)
    }

    fn month_start(&self, zone: &Zone) -> Time {
        let now = self.clock.now();
        let start = zone.local(now).and_then(|local| {
            let first = local.date().first_of_month().to_datetime(jiff::civil::Time::midnight());
            zone.instant(first)
        });
        start.unwrap_or(now)
    }

    // -- credentials -------------------------------------------------------------------------------------------------

    /// Compares what a caller keyed with the customer's secret; too many wrong answers lock the customer for a while.
    fn credential(&self, query: Query) -> Result<Reply, ViewError> {
        let Query::Credential { method, customer, caller, keyed } = query else {
            return Ok(Reply::Failed("not a credential".to_owned()));
        };
        let known = match customer {
            Some(id) => self.read::<Customer>(&key::customer(id))?,
            None => self.by_number(&caller)?,
        };
        let Some(known) = known else { return Ok(Reply::Compared(Compared::Wrong)) };
        if !self.tries.reserve(known.id, self.clock.now()) {
            return Ok(Reply::Compared(Compared::Locked));
        }
        let name = match method {
            Credential::Pin => "secret.pin",
            Credential::BirthDate => "secret.birth_date",
            Credential::IdLast4 => "secret.id_last4",
        };
        let hash = known.attributes.get(name).map(|hash| crm::people::PasswordHash(hash.clone()));
        let right = password::verify(&crm::people::ClearPassword(keyed.0), hash.as_ref());
        Ok(Reply::Compared(self.tries.settle(known.id, right)))
    }

    // -- company systems ---------------------------------------------------------------------------------------------

    async fn http(&self, call: HttpCall, deadline: Time) -> Reply {
        let mut reply = Reply::Failed("no attempt was made".to_owned());
        for _ in 0..=call.retries {
            let left = deadline.since(self.clock.now());
            if left.is_zero() {
                break;
            }
            reply = match tokio::time::timeout(left, self.attempt(&call)).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(error)) => Reply::Failed(error),
                Err(_) => Reply::Failed("no answer in time".to_owned()),
            };
            if !matches!(&reply, Reply::Failed(_)) && !matches!(&reply, Reply::Http { status: 500.., .. }) {
                break;
            }
        }
        reply
    }

    async fn attempt(&self, call: &HttpCall) -> Result<Reply, String> {
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let url = Url::parse(&call.url).map_err(|error| error.to_string())?;
        let stand_in = url.host_str().and_then(|host| self.stand_ins.get(host));
        let mut request = self.http.request(method, stand_in.map_or(url.clone(), |at| moved(&url, *at)));
        for (name, value) in &call.headers {
            let value = match value {
                HeaderValue::Text(text) => text.clone(),
                HeaderValue::Environment(_) if stand_in.is_some() => continue,
                HeaderValue::Environment(variable) => {
                    std::env::var(&**variable).map_err(|_| format!("the environment has no {variable}"))?
                }
            };
            request = request.header(&**name, value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(reason)?;
        let status = response.status().as_u16();
        let bytes = body_of(response).await?;
        let body = serde_json::from_slice(&bytes).unwrap_or(serde_json::Value::Null);
        Ok(Reply::Http { status, body })
    }
}

/// Who was asked, for the log: no path, no query and no number, which may be a caller's.
fn asked(query: &Query) -> String {
    match query {
        Query::Customer { .. } | Query::Account { .. } => "the customers' records".to_owned(),
        Query::Credential { .. } => "the customers' credentials".to_owned(),
        Query::Http(call) => {
            let host = Url::parse(&call.url).ok().and_then(|url| url.host_str().map(str::to_owned));
            host.unwrap_or_else(|| "a company system".to_owned())
        }
        Query::Resolve(resolve) => format!("the resolver for {}", resolve.host),
    }
}

/// Why an answer is of no use. That nothing is found there (4xx) is for the dialplan to say.
fn trouble(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Failed(reason) => Some(reason.clone()),
        Reply::Http { status: status @ (401 | 403 | 500..), .. } => Some(format!("status {status}")),
        _ => None,
    }
}

/// The same path and query, asked of another in plain HTTP.
fn moved(url: &Url, at: SocketAddr) -> Url {
    let mut moved = url.clone();
    let set = moved
        .set_scheme("http")
        .and_then(|()| moved.set_ip_host(at.ip()))
        .and_then(|()| moved.set_port(Some(at.port())));
    debug_assert!(set.is_ok(), "what has a host can have another");
    moved
}

/// Why an exchange failed, down to its first cause; without the URL, whose query may hold what a caller keyed.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

/// The body of an answer, up to [`ANSWER_BYTES`].
async fn body_of(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reason)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES {
            return Err(format!("the answer is over {ANSWER_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The record as dialplans read it: `name`, `tier`, `language`, `number`, `contacts_this_month`, and every attribute.
pub fn facts_of(customer: &Customer, contacts_this_month: u32) -> CustomerFacts {
    let text = |text: &str| Value::text(text);
    let mut facts = CustomerFacts::default();
    let language = customer.language.clone().unwrap_or_else(|| Language::new("en"));
    let mut put = |name: &str, value: Value| facts.fields.insert(Arc::from(name), value);
    for (name, value) in &customer.attributes {
        put(name, text(value));
    }
    put("id", text(&customer.id.to_string()));
    put("name", text(&customer.display_name(&language)));
    put("tier", text(customer.tier.code()));
    put("language", text(customer.language.as_ref().map_or("", |language| language.as_str())));
    put("number", text(customer.phones.first().map_or("", |phone| phone.as_str())));
    put("contacts_this_month", Value::Number(i64::from(contacts_this_month)));
    facts
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn why_a_system_did_not_answer_is_told_without_what_was_asked_of_it() {
        // Nobody listens on a port that was just given back.
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let asked = reqwest::get(format!("http://127.0.0.1:{port}/balance?account=1000000001")).await;
        let told = reason(asked.unwrap_err());
        assert!(told.contains("refused") && !told.contains("1000000001"), "{told}");
    }

    #[test]
    fn the_log_hears_of_what_is_of_no_use_and_not_of_what_is_not_found() {
        let told = |status| trouble(&Reply::Http { status, body: serde_json::Value::Null });
        assert_eq!((told(200), told(404), told(402)), (None, None, None));
        assert_eq!((told(401), told(503)), (Some("status 401".to_owned()), Some("status 503".to_owned())));
        let unset = "the environment has no BANK_TOKEN";
        assert_eq!(trouble(&Reply::Failed(unset.to_owned())).as_deref(), Some(unset));
    }

    #[test]
    fn a_stand_in_is_asked_for_the_same_in_plain_http() {
        let url = Url::parse("https://core.bank.example/balance?number=%2B86138").unwrap();
        let moved = moved(&url, "127.0.0.1:4711".parse().unwrap());
        assert_eq!(moved.as_str(), "http://127.0.0.1:4711/balance?number=%2B86138");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_a_failure_and_not_half_an_answer() {
        let routes = Router::new()
            .route("/most", get(|| async { "x".repeat(ANSWER_BYTES) }))
            .route("/more", get(|| async { "x".repeat(ANSWER_BYTES + 1) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let ask = |path: &str| reqwest::get(format!("http://{address}/{path}"));
        assert_eq!(body_of(ask("most").await.unwrap()).await.map(|body| body.len()), Ok(ANSWER_BYTES));
        let refused = body_of(ask("more").await.unwrap()).await.unwrap_err();
        assert_eq!(refused, format!("the answer is over {ANSWER_BYTES} bytes"));
    }
}
