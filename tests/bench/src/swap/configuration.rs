//! Many clusters, many routes to them, and one route that the load takes.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// Rules of one route: a document is not larger than people make them.
const RULES: u32 = 100;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) clusters: u32,
    pub(super) routes: u32,
}

impl Sizes {
    /// Everything, as documents.
    pub(super) fn documents(self, door: SocketAddr, backends: &[SocketAddr]) -> String {
        let mut text = format!(
            "kind: Listener\nname: web\nspec: {{address: \"{door}\"}}\n\
             ---\nkind: Route\nname: usual\nspec:\n  listeners: [web]\n  rules:\n  \
             - matches: [{{path: {{exact: /128}}}}]\n    clusters: [{{name: usual}}]\n\
             ---\nkind: Cluster\nname: usual\nspec:\n  loadBalancer: {{roundRobin: {{}}}}\n  \
             endpoints:\n    static:\n"
        );
        for backend in backends {
            let _ = writeln!(text, "    - address: \"{backend}\"");
        }
        for cluster in 0..self.clusters {
            let address = format!("10.{}.{}.1:80", cluster / 250, cluster % 250);
            let _ = write!(
                text,
                "---\nkind: Cluster\nname: other-{cluster}\n\
                 spec: {{endpoints: {{static: [{{address: \"{address}\"}}]}}}}\n"
            );
        }
        let mut first = 0;
        while first < self.routes {
            text.push_str("---\n");
            text.push_str(&self.route(first, None));
            first += RULES;
        }
        text
    }

    /// The `number`-th change: another path for the first rule of the first route.
    pub(super) fn change(self, number: u32) -> String {
        self.route(0, Some(number))
    }

    /// The route with the rules from `first` on.
    fn route(self, first: u32, change: Option<u32>) -> String {
        let mut text =
            format!("kind: Route\nname: other-{first}\nspec:\n  listeners: [web]\n  rules:\n");
        for rule in first..(first + RULES).min(self.routes) {
            let changed = change.filter(|_| rule == first);
            let path = changed.map_or_else(
                || format!("/other/{rule}"),
                |change| format!("/changed/{change}"),
            );
            let cluster = rule % self.clusters;
            let _ = writeln!(
                text,
                "  - matches: [{{path: {{exact: {path}}}}}]\n    clusters: [{{name: other-{cluster}}}]"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Sizes;

    #[test]
    fn a_change_changes_one_rule_of_one_document() {
        let sizes = Sizes {
            clusters: 7,
            routes: 250,
        };
        let door = "127.0.0.1:1".parse().unwrap();
        let documents = sizes.documents(door, &[door]);
        assert_eq!(documents.matches("exact: /other/").count(), 250);
        assert_eq!(documents.matches("kind: Cluster").count(), 8);
        let change = sizes.change(3);
        assert_eq!(change.matches("exact: /other/").count(), 99);
        assert_eq!(change.matches("exact: /changed/3").count(), 1);
        assert!(documents.contains(change.lines().nth(1).unwrap()));
    }
}
