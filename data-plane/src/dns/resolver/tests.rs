use std::net::Ipv4Addr;

use super::*;
use crate::dns::server::{Said, Server};
use crate::xds::sample::dns_target;

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

async fn ask(server: &Server, family: DnsFamily, host: &str) -> Result<Answer, String> {
    let mut resolver = Resolver::new(vec![server.address]);
    let ready = resolver.ready(family, Tick(0)).unwrap();
    look_up(ready, &dns_target(host, 80)).await
}

#[tokio::test]
async fn all_addresses_of_a_name_are_found() {
    let server = Server::start().await;
    server.say("cart.test", Said::Addresses(vec![address(2), address(1)]));
    for family in [DnsFamily::All, DnsFamily::V4] {
        let mut answer = ask(&server, family, "cart.test.").await.unwrap();
        answer.addresses.sort();
        assert_eq!(answer.addresses, [address(1), address(2)]);
        assert_eq!(answer.ttl, Duration::from_mins(10));
    }
}

#[tokio::test]
async fn answers_are_not_kept_here() {
    let server = Server::start().await;
    let mut resolver = Resolver::new(vec![server.address]);
    for last in 1..4 {
        server.say("cart.test", Said::Addresses(vec![address(last)]));
        let ready = resolver.ready(DnsFamily::All, Tick(0)).unwrap();
        let answer = look_up(ready, &dns_target("cart.test", 80)).await.unwrap();
        assert_eq!(answer.addresses, [address(last)]);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_is_asked_for_by_tcp() {
    let server = Server::start().await;
    let many: Vec<Ipv4Addr> = (1..=200).map(address).collect();
    server.say("many.test", Said::OnlyByTcp(many));
    let answer = ask(&server, DnsFamily::V4, "many.test").await.unwrap();
    assert_eq!(answer.addresses.len(), 200);
}

#[tokio::test]
async fn what_is_not_found_says_why() {
    let server = Server::start().await;
    server.say("empty.test", Said::Nothing);
    server.say("broken.test", Said::Failed);
    let why = async |host| ask(&server, DnsFamily::All, host).await.unwrap_err();
    assert_eq!(why("unknown.test").await, "no such name");
    assert_eq!(why("empty.test").await, "no address");
    let broken = why("broken.test").await;
    assert!(
        !broken.is_empty() && !broken.contains("no such name"),
        "{broken}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let server = Server::start().await;
    server.say("silent.test", Said::Silence);
    let lookup = ask(&server, DnsFamily::V4, "silent.test");
    let ended = tokio::time::timeout(Duration::from_secs(30), lookup).await;
    ended.unwrap().unwrap_err();
}

#[tokio::test]
async fn the_name_servers_of_this_host_can_be_read() {
    let mut resolver = Resolver::new(Vec::new());
    let ready = resolver.ready(DnsFamily::All, Tick(0)).unwrap();
    let target = dns_target("localhost", 80);
    let answer = look_up(ready, &target).await.unwrap();
    assert!(answer.addresses.iter().all(std::net::IpAddr::is_loopback));
}
