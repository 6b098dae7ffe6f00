//! The phones and people of a load run, read from the table that `strowger users import` reads.
//!
//! Of its columns, `account` and `sip_password` must be filled in each row; `name` and `password` where an agent sits
//! down at the phone. A row without an account, such as a supervisor's, is passed over.

use std::collections::BTreeMap;

use crate::crm::csv::{self, Field};
use crate::crm::import::{Columns, Findings};
use crate::crm::people_table::COLUMNS;
use crate::finding::{Finding, Source};
use crate::load::desk::Seat;

/// The seats in the order of the file. Rows that cannot be used are left out and told.
pub fn read(source: &Source) -> (Vec<Seat>, Vec<Finding>) {
    let mut findings = Findings::default();
    let mut seats = Vec::new();
    match csv::parse(source) {
        Ok((table, unread)) => {
            findings.extend(unread);
            let columns = Columns::parse(source, &table, &COLUMNS, &[], &mut findings);
            for name in ["account", "sip_password"].into_iter().filter(|name| !columns.has(name)) {
                let span = csv::span_of(&table.header);
                let reason = format!("There is no column `{name}`.");
                let mend = "Begin with the columns that `strowger users import` reads.";
                findings.push(source.error("accounts.column", span, reason, mend));
            }
            let mut lines = BTreeMap::new();
            for row in &table.rows {
                match seat(source, &columns, row, &mut lines) {
                    Ok(seat) => seats.extend(seat),
                    Err(finding) => findings.push(finding),
                }
            }
        }
        Err(finding) => findings.push(finding),
    }
    (seats, findings.finish(source))
}

/// `lines` has the line of each account so far.
fn seat(
    source: &Source,
    columns: &Columns,
    row: &[Field],
    lines: &mut BTreeMap<String, u32>,
) -> Result<Option<Seat>, Finding> {
    let text = |name| columns.field(row, name).map(|field| field.text.clone());
    let Some(account) = columns.field(row, "account") else { return Ok(None) };
    let Some(sip_password) = text("sip_password") else {
        let reason = format!("Account `{}` has no SIP password, and cannot register.", account.text);
        let mend = "Fill the column `sip_password`.";
        return Err(source.error("accounts.password", csv::span_of(row), reason, mend));
    };
    if let Some(earlier) = lines.insert(account.text.clone(), source.position(account.span.start).0) {
        let reason = format!("Account `{}` stands in line {earlier} already.", account.text);
        let mend = "Keep one of the rows: a phone registers once.";
        return Err(source.error("accounts.twice", account.span.clone(), reason, mend));
    }
    let (agent, password) = (text("name").unwrap_or_default(), text("password").unwrap_or_default());
    Ok(Some(Seat { agent, password, account: account.text.clone(), sip_password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (Vec<Seat>, Vec<String>) {
        let (seats, findings) = read(&Source::new("people.csv", text));
        (seats, findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_table_of_people_names_agents_and_their_phones() {
        let (seats, findings) = told(
            "name,role,password,account,sip_password,skills\n\
             li,agent,desk secret,1001,phone secret,talk:5\n\
             boss,supervisor,boss secret,,,\n\
             ,,,2001,other secret,\n",
        );
        assert_eq!(findings, [""; 0]);
        let seat = |agent: &str, password: &str, account: &str, sip_password: &str| Seat {
            agent: agent.into(),
            password: password.into(),
            account: account.into(),
            sip_password: sip_password.into(),
        };
        assert_eq!(seats, [seat("li", "desk secret", "1001", "phone secret"), seat("", "", "2001", "other secret")]);
        assert_eq!(format!("{:?}", seats[0]), "Seat(li at 1001)", "no password in a log");
    }

    #[test]
    fn what_cannot_register_is_told_with_line_reason_and_mend() {
        let (seats, findings) = told("account,sip_password\n1001,a\n1002,\n1001,b\n1003,c,d\n");
        assert_eq!(seats.len(), 1);
        let expected = [
            "people.csv:3:1: error[accounts.password]: Account `1002` has no SIP password, and cannot register. \
             Fill the column `sip_password`.",
            "people.csv:4:1: error[accounts.twice]: Account `1001` stands in line 2 already. \
             Keep one of the rows: a phone registers once.",
        ];
        assert_eq!(findings[..2], expected);
        assert!(findings[2].starts_with("people.csv:5:1: error[csv.width]"), "{findings:?}");
        let (_, findings) = told("account,password\n1001,a\n");
        assert!(
            findings[0].contains(":1:1: error[accounts.column]: There is no column `sip_password`."),
            "{findings:?}"
        );
        assert!(told("").1[0].contains("csv.empty"));
    }
}
