//! Sends requests to a server on several connections, and measures the time of each answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::Connection;
use crate::stats::{per_second, sorted, us};

/// The times of many answers.
pub(crate) struct Load {
    pub(crate) rate: f64,
    /// In microseconds, sorted.
    pub(crate) latencies: Vec<f64>,
}

/// A load of requests for pages.
pub(crate) struct PagesLoad {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) time: Duration,
}

impl Load {
    pub(crate) fn new(latencies: Vec<f64>, took: Duration) -> Self {
        Self {
            rate: per_second(latencies.len() as u64, took),
            latencies: sorted(latencies),
        }
    }
}

impl PagesLoad {
    /// Sends these requests in turn. Each connection starts with another one.
    pub(crate) async fn run(&self, requests: &[Vec<u8>]) -> Load {
        let started = Instant::now();
        let one = async |number: usize| {
            let mut connection = Connection::open(self.addr).await.unwrap();
            let mut latencies = Vec::new();
            let mut turn = number * requests.len() / self.connections;
            while started.elapsed() < self.time {
                let asked = Instant::now();
                connection.ok(&requests[turn % requests.len()]).await;
                latencies.push(us(asked.elapsed()));
                turn += 1;
            }
            latencies
        };
        let latencies = join_all((0..self.connections).map(one)).await.concat();
        Load::new(latencies, started.elapsed())
    }
}
