//! Draws processor times as bars, in an SVG without anything from elsewhere.

use std::fmt::Write as _;

use crate::peer::Peer;
use crate::report::cpu::{Comparison, Spread, Summary};
use crate::statistics::float;

const WIDTH: f64 = 760.0;
/// Room for names.
const LEFT: f64 = 150.0;
/// Room for figures.
const RIGHT: f64 = 170.0;
const BAR: f64 = 18.0;
const TITLE: f64 = 34.0;

/// One group of bars for each kind of traffic, each with its own scale.
pub(crate) fn draw(comparisons: &[Comparison]) -> String {
    let mut body = String::new();
    let mut top = 30.0;
    for comparison in comparisons {
        top = group(&mut body, comparison, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\" font-weight=\"bold\">Processor time for each \
         request, microseconds: median and quartiles</text>\n{body}</svg>\n",
        height = top + 10.0
    )
}

fn group(body: &mut String, comparison: &Comparison, top: f64) -> f64 {
    let highs = comparison.summary.iter().filter_map(|row| row.cpu);
    let most = highs.map(|cpu| cpu.high).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let name = comparison.workload.name();
    let _ = writeln!(
        body,
        "<text x=\"10\" y=\"{:.0}\" font-weight=\"bold\">{name}</text>",
        top + TITLE - 10.0
    );
    for (index, row) in comparison.summary.iter().enumerate() {
        bar(body, row, top + TITLE + BAR * float(index), scale);
    }
    top + TITLE + BAR * float(comparison.summary.len())
}

fn bar(body: &mut String, row: &Summary, top: f64, scale: f64) {
    let base = top + BAR * 0.7;
    let _ = writeln!(
        body,
        "<text x=\"{:.0}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>",
        LEFT - 8.0,
        row.peer.name()
    );
    let Some(Spread {
        low, median, high, ..
    }) = row.cpu
    else {
        let _ = writeln!(body, "<text x=\"{LEFT}\" y=\"{base:.1}\">too noisy</text>");
        return;
    };
    let colour = match row.peer {
        Peer::Evenkeel | Peer::EvenkeelRecords => "#1f6f8b",
        _ => "#b0b7bf",
    };
    let middle = top + BAR * 0.45;
    let _ = writeln!(
        body,
        "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n\
         <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"black\"/>\n\
         <text x=\"{:.1}\" y=\"{base:.1}\">{median:.1}{}</text>",
        median * scale,
        BAR * 0.9,
        LEFT + low * scale,
        LEFT + high * scale,
        LEFT + high * scale + 6.0,
        row.ours
            .filter(|_| row.peer != Peer::Evenkeel)
            .map(|ours| format!(" (evenkeel: x {:.2})", ours.median))
            .unwrap_or_default()
    );
}
