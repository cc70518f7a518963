//! What the clients follow: 20 listings, and three histories.

/// A listing.
pub(crate) struct Followed {
    /// The filter as a query, which ends with `&` unless it is empty.
    pub(crate) query: &'static str,
    pub(crate) window: u16,
    /// The filter in SQL.
    pub(crate) condition: &'static str,
}

const fn followed(query: &'static str, window: u16, condition: &'static str) -> Followed {
    Followed {
        query,
        window,
        condition,
    }
}

pub(crate) const LISTINGS: [Followed; 20] = [
    followed("root=true&", 50, "parent IS NULL"),
    followed(
        "root=true&status=active&",
        20,
        "parent IS NULL AND status = 0",
    ),
    followed("status=terminated&", 20, "status = 2"),
    followed("agent_id=a0&", 20, "agent = 'a0'"),
    followed("agent_id=a1&", 30, "agent = 'a1'"),
    followed("agent_id=a2&", 40, "agent = 'a2'"),
    followed("agent_id=a3&", 50, "agent = 'a3'"),
    followed(
        "agent_id=a4&status=active&",
        50,
        "agent = 'a4' AND status = 0",
    ),
    followed(
        "agent_id=a5&root=true&",
        50,
        "agent = 'a5' AND parent IS NULL",
    ),
    followed("agent_id=a6&agent_id=a7&", 50, "agent IN ('a6', 'a7')"),
    followed(
        "agent_id=a8&agent_id=a9&status=active&",
        20,
        "agent IN ('a8', 'a9') AND status = 0",
    ),
    followed(
        "agent_id=a10&root=false&",
        30,
        "agent = 'a10' AND parent IS NOT NULL",
    ),
    followed(
        "agent_id=a11&status=active&status=terminated&",
        40,
        "agent = 'a11' AND status IN (0, 2)",
    ),
    followed(
        "agent_id=a12&created_after=2020-01-01T00:00:00Z&",
        20,
        "agent = 'a12' AND created_at > 0",
    ),
    followed("project_id=p0&", 20, "project = 'p0'"),
    followed(
        "project_id=p1&root=true&",
        30,
        "project = 'p1' AND parent IS NULL",
    ),
    followed(
        "project_id=p2&status=active&",
        40,
        "project = 'p2' AND status = 0",
    ),
    followed("user_id=u0&", 50, "user_id = 'u0'"),
    followed(
        "user_id=u1&root=true&",
        30,
        "user_id = 'u1' AND parent IS NULL",
    ),
    followed(
        "user_id=u2&status=active&",
        20,
        "user_id = 'u2' AND status = 0",
    ),
];

/// Filters of histories, and how many clients follow each.
pub(crate) const HISTORIES: [(&str, usize); 3] = [
    ("", 4),
    ("agent_id=a0&", 8),
    ("type=session.terminated&", 8),
];
