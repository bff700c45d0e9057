//! Logs, metrics and events.

use std::collections::HashSet;

use ultrai_deploy_core::{Context, Error, ErrorKind, Result};
use ultrai_deploy_http::api::Call;

use super::{Client, LOG, refused, with_some, with_span};
use crate::model::{
    Direction, Event, EventFilter, GroupBy, LogLine, LogPage, LogQuery, MetricQuery, Series,
    ServiceId,
};

/// The largest page of logs that Render gives.
const PAGE: usize = 100;
/// More pages than anybody reads, also of those that hold nothing.
const MOST_PAGES: usize = 200;

impl Client {
    /// One page of logs, of at most 100 lines. For the next one, put its `next_*` into the query.
    pub async fn log_page(
        &self,
        cx: &Context,
        query: &LogQuery,
        at_most: usize,
    ) -> Result<LogPage> {
        let mut call = Call::get("read logs", ["logs"]).with_query("ownerId", query.owner.as_str());
        for resource in &query.resources {
            call = call.with_query("resource", resource);
        }
        for kind in &query.types {
            call = call.with_query("type", kind);
        }
        for level in &query.levels {
            call = call.with_query("level", level);
        }
        call = with_some(call, "text", query.text.as_ref());
        let direction = match query.direction {
            Direction::Backward => "backward",
            Direction::Forward => "forward",
        };
        let limit = at_most.clamp(1, PAGE).to_string();
        let call = with_span(call, query.start, query.end)
            .with_query("direction", direction)
            .with_query("limit", limit)
            .with_class(LOG);
        self.read(cx, &call).await
    }

    /// The first `at_most` lines of log. Each hundred is a call, and Render allows few of them.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when Render says that there is more and does not move on, or goes
    /// on for 200 pages.
    pub async fn logs(
        &self,
        cx: &Context,
        query: &LogQuery,
        at_most: usize,
    ) -> Result<Vec<LogLine>> {
        let mut query = query.clone();
        let (mut lines, mut ids, mut spans) = (Vec::new(), HashSet::new(), HashSet::new());
        for _ in 0..MOST_PAGES {
            if lines.len() >= at_most {
                return Ok(lines);
            }
            if !spans.insert((query.start, query.end)) {
                return Err(endless("there is said to be more, where it already was"));
            }
            let page = self.log_page(cx, &query, at_most - lines.len()).await?;
            // Lines of the instant at which a page ends may come twice.
            let new = page.logs.into_iter();
            lines.extend(new.filter(|line| line.id.is_empty() || ids.insert(line.id.clone())));
            lines.truncate(at_most);
            if !page.has_more {
                return Ok(lines);
            }
            (query.start, query.end) =
                (page.next_start_time.or(query.start), page.next_end_time.or(query.end));
        }
        Err(endless("there is more after 200 pages"))
    }

    /// How many HTTP requests a service had.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], before anything is sent, for a resolution below 30 s.
    pub async fn http_requests(
        &self,
        cx: &Context,
        query: &MetricQuery,
        group_by: Option<GroupBy>,
    ) -> Result<Vec<Series>> {
        let call = Call::get("read how many requests there were", ["metrics", "http-requests"]);
        let group_by = group_by.map(|by| match by {
            GroupBy::StatusCode => "statusCode",
            GroupBy::Host => "host",
        });
        self.series(cx, with_some(call, "aggregateBy", group_by), query).await
    }

    /// How long a service took to answer HTTP requests, at a quantile: 0.95.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], before anything is sent, for a quantile outside of 0 to 1 or a
    /// resolution below 30 s.
    pub async fn http_latency(
        &self,
        cx: &Context,
        query: &MetricQuery,
        quantile: f64,
    ) -> Result<Vec<Series>> {
        let operation = "read how long requests took";
        if !(0.0..=1.0).contains(&quantile) {
            return Err(refused(operation, "a quantile is between 0 and 1"));
        }
        let call = Call::get(operation, ["metrics", "http-latency"]);
        self.series(cx, call.with_query("quantile", quantile.to_string()), query).await
    }

    async fn series(&self, cx: &Context, call: Call, query: &MetricQuery) -> Result<Vec<Series>> {
        let seconds = query.resolution.map(|resolution| resolution.as_secs());
        if seconds.is_some_and(|seconds| seconds < 30) {
            return Err(refused(call.operation(), "a point stands for 30 s or more"));
        }
        let call = call.with_query("resource", &query.resource);
        let call = with_span(call, query.start, query.end);
        let call = with_some(call, "resolutionSeconds", seconds);
        let call = with_some(call, "host", query.host.as_ref());
        let call = with_some(call, "path", query.path.as_ref());
        let series: Option<Vec<Series>> = self.read(cx, &call).await?;
        Ok(series.unwrap_or_default())
    }

    /// What happened to a service, within the last hour unless the filter says when.
    pub async fn events(
        &self,
        cx: &Context,
        service: &ServiceId,
        filter: &EventFilter,
    ) -> Result<Vec<Event>> {
        let call = Call::get("list events", ["services", service.as_str(), "events"]);
        let call = with_some(call, "type", filter.kind.as_ref());
        self.list(cx, with_span(call, filter.start, filter.end), filter.at_most).await
    }
}

fn endless(why: &str) -> Error {
    let message = format!("the logs do not end: {why}");
    Error::new(ErrorKind::Unexpected, "read logs", message).without_effect()
}
