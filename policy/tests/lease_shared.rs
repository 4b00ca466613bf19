//! A node's part of a shared account: what it asks, what it tells, what it may spend.

use ringway_policy::lease::{Account, Now, Terms, Told};

const NOW: Now = Now { mono_ns: 1_000, unix_ms: 1_795_132_800_000 };
const TERMS: Terms = Terms::Rate { count: 100, per_ns: 60_000_000_000 };

fn told(granted: u64) -> Told {
    Told { granted, settled: 0, leased: granted, retry_in_ns: Some(500) }
}

#[test]
fn nothing_is_there_before_the_store_grants_it() {
    let account = Account::shared(2, TERMS);
    assert!(account.reserve(0, 1, NOW).is_err());
    let ticket = account.ask(1).unwrap();
    assert!(account.is_wanted() && !account.is_answered(ticket));
    let demand = account.demand(0).unwrap();
    assert_eq!((demand.terms, demand.need, demand.want, demand.is_idle), (TERMS, 1, 1, false));
    account.told(&demand, told(3), NOW);
    assert!(account.is_answered(ticket) && !account.is_wanted());
    for shard in [0, 1, 0] {
        assert!(account.reserve(shard, 1, NOW).is_ok());
    }
    assert!(account.reserve(1, 1, NOW).is_err());
}

#[test]
fn what_is_spent_and_what_is_not_needed_is_told_once() {
    let account = Account::shared(2, TERMS);
    let first = account.demand(0).unwrap();
    account.told(&first, told(10), NOW);
    account.reserve(0, 4, NOW).unwrap();
    account.settle(0, 4, 3, NOW);
    // A shard's lease that was used just now stays for one more look.
    let demands = [account.demand(2).unwrap(), account.demand(2).unwrap(), account.demand(2).unwrap()];
    assert_eq!(demands.iter().map(|demand| demand.spent).sum::<u64>(), 3);
    assert_eq!(demands.iter().map(|demand| demand.returned).sum::<u64>(), 5);
    assert!(account.reserve(1, 2, NOW).is_ok() && account.reserve(1, 1, NOW).is_err());
}

#[test]
fn debt_is_the_stores_and_the_next_grant_is_whole() {
    let account = Account::shared(1, TERMS);
    account.told(&account.demand(0).unwrap(), told(5), NOW);
    account.reserve(0, 5, NOW).unwrap();
    account.settle(0, 5, 9, NOW);
    let demand = account.demand(0).unwrap();
    assert_eq!((demand.spent, demand.returned), (9, 0));
    account.told(&demand, told(2), NOW);
    assert!(account.reserve(0, 2, NOW).is_ok() && account.reserve(0, 1, NOW).is_err());
}

#[test]
fn slots_at_once_come_back_when_they_are_free() {
    let account = Account::shared(1, Terms::Concurrent { count: 2 });
    account.told(&account.demand(0).unwrap(), told(2), NOW);
    account.reserve(0, 1, NOW).unwrap();
    account.reserve(0, 1, NOW).unwrap();
    assert_eq!(account.demand(0).unwrap().returned, 0);
    account.settle(0, 1, 1, NOW);
    let returned: u64 = (0..3).map(|_| account.demand(0).unwrap()).map(|demand| demand.returned + demand.spent).sum();
    assert_eq!(returned, 1);
}

#[test]
fn an_expired_lease_is_not_spent() {
    let account = Account::shared(1, TERMS);
    account.told(&account.demand(0).unwrap(), told(5), NOW);
    account.expire();
    assert!(account.reserve(0, 1, NOW).is_err());
}
