//! What Prometheus answers to an instant query. Pure.
//!
//! The form is that of the HTTP API v1, "Instant queries" and "Expression query result formats"
//! (prometheus.io/docs/prometheus/latest/querying/api).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A value of one series, at the server's time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: BTreeMap<String, String>,
    /// Seconds since the epoch.
    pub(super) time: f64,
    pub(super) value: f64,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// A result, and what the server warns of.
    Samples(Vec<Sample>, Vec<String>),
    /// It could not evaluate the query: the type of the error and what it says.
    Failed(String, String),
    /// It is no result that can be compared; why, for people.
    Unusable(String),
}

#[derive(Deserialize)]
struct Document {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default, rename = "errorType")]
    error_type: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Value,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    value: Option<(f64, String)>,
}

impl Answer {
    /// Reads a body; nothing when it is not of this form.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(body).ok()?;
        match (document.status.as_str(), document.data) {
            ("success", Some(data)) => {
                let mut notes = document.warnings;
                notes.extend(document.infos);
                Some(match samples(&data) {
                    Ok(samples) => Self::Samples(samples, notes),
                    Err(why) => Self::Unusable(why),
                })
            }
            ("error", _) => Some(Self::Failed(
                document.error_type.unwrap_or_else(|| "unknown".to_owned()),
                document.error.unwrap_or_default(),
            )),
            _ => None,
        }
    }
}

fn samples(data: &Data) -> Result<Vec<Sample>, String> {
    let odd = || format!("the result is no {}", data.result_type);
    match data.result_type.as_str() {
        "vector" => {
            let series = Vec::<Series>::deserialize(&data.result).map_err(|_| odd())?;
            let sample = |Series { metric, value }: Series| {
                let (time, text) =
                    value.ok_or("a native histogram is no number: use histogram_quantile")?;
                Ok(Sample { labels: metric, time, value: number(&text).ok_or_else(odd)? })
            };
            series.into_iter().map(sample).collect()
        }
        "scalar" | "string" => {
            let (time, text) = <(f64, String)>::deserialize(&data.result).map_err(|_| odd())?;
            let value = number(&text)
                .ok_or_else(|| format!("the result is the text {text:?}, no number"))?;
            Ok(vec![Sample { labels: BTreeMap::new(), time, value }])
        }
        "matrix" => {
            Err("the result is a range of values: take the range away or put rate() around".into())
        }
        other => Err(format!("results of type {other:?} are not known")),
    }
}

/// A number as Go writes it: also `NaN`, `+Inf` and `-Inf`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Option<Answer> {
        Answer::read(body.to_string().as_bytes())
    }

    fn success(kind: &str, result: &Value) -> Option<Answer> {
        read(&json!({"status": "success", "data": {"resultType": kind, "result": result}}))
    }

    #[test]
    fn every_type_of_result() {
        for (kind, result, values) in [
            ("vector", json!([]), vec![]),
            ("vector", json!([{"metric": {"a": "b"}, "value": [1.5, "0.25"]}]), vec![0.25]),
            ("vector", json!([{"metric": {}, "value": [1, "+Inf"]}]), vec![f64::INFINITY]),
            ("scalar", json!([1, "1e-3"]), vec![0.001]),
            ("string", json!([1, "42"]), vec![42.0]),
        ] {
            let Some(Answer::Samples(samples, _)) = success(kind, &result) else {
                panic!("{kind}")
            };
            assert_eq!(samples.iter().map(|one| one.value).collect::<Vec<_>>(), values, "{result}");
        }
        let Some(Answer::Samples(samples, _)) = success("scalar", &json!([1, "NaN"])) else {
            panic!()
        };
        assert!(samples[0].value.is_nan());
        for (kind, result, told) in [
            ("matrix", json!([]), "rate()"),
            ("string", json!([1, "high"]), "\"high\""),
            ("vector", json!({}), "no vector"),
            ("vector", json!([{"metric": {}, "histogram": [1, {}]}]), "histogram_quantile"),
            ("streams", json!([]), "\"streams\""),
        ] {
            let Some(Answer::Unusable(why)) = success(kind, &result) else { panic!("{kind}") };
            assert!(why.contains(told), "{why}");
        }
    }

    #[test]
    fn errors_and_what_is_no_answer() {
        let failed = read(&json!({"status": "error", "errorType": "bad_data", "error": "no"}));
        assert_eq!(failed, Some(Answer::Failed("bad_data".into(), "no".into())));
        for odd in [json!({}), json!([]), json!({"status": "success"}), json!({"status": "ok"})] {
            assert_eq!(read(&odd), None, "{odd}");
        }
        assert_eq!(Answer::read(b"<html>"), None);
    }
}
