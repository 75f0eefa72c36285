//! A report as a picture: goodput, latency, load and the part of the endpoints
//! that something happens to, over time. SVG without anything from elsewhere.

use std::fmt::Write;

use super::report::{Moment, Report};

/// Width of the picture.
const WIDTH: f64 = 860.0;
/// Where the curves begin, and where they end.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 840.0;
/// Height of a curve, and from one curve to the next.
const HEIGHT: f64 = 110.0;
const STEP: f64 = 160.0;
/// Above the first curve.
const TOP: f64 = 90.0;

/// A curve.
struct Curve {
    title: &'static str,
    colour: &'static str,
    value: fn(&Moment) -> Option<f64>,
    /// What is on the axis at the least.
    least: f64,
    unit: &'static str,
}

const CURVES: [Curve; 4] = [
    Curve {
        title: "Goodput",
        colour: "#1a7f37",
        value: |moment| Some(moment.sums.goodput * 100.0),
        least: 100.0,
        unit: " %",
    },
    Curve {
        title: "99th percentile of the latency",
        colour: "#0550ae",
        value: |moment| moment.sums.p99_millis,
        least: 10.0,
        unit: " ms",
    },
    Curve {
        title: "Attempts per request",
        colour: "#8250df",
        value: |moment| Some(moment.sums.load),
        least: 1.5,
        unit: "",
    },
    Curve {
        title: "Attempts at the endpoints in question, of their fair share",
        colour: "#bc4c00",
        value: |moment| moment.share.map(|share| share * 100.0),
        least: 120.0,
        unit: " %",
    },
];

/// Draws a report.
pub(super) fn draw(report: &Report) -> String {
    let curves = CURVES.iter().filter(|curve| {
        let mut moments = report.timeline.iter();
        moments.any(|moment| (curve.value)(moment).is_some())
    });
    let curves: Vec<&Curve> = curves.collect();
    let mut body = String::new();
    let mut top = TOP;
    for curve in curves {
        trouble(&mut body, report, top);
        draw_curve(&mut body, curve, report, top);
        top += STEP;
    }
    let height = top - STEP + HEIGHT + 50.0;
    let (name, about, seed) = (
        escaped(&report.scenario),
        escaped(&report.about),
        report.seed,
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\" font-weight=\"bold\">{name}</text>\n\
         <text x=\"20\" y=\"48\" fill=\"#444\">{about} Seed {seed}; outage of {outage:.2} s.</text>\n\
         {body}</svg>\n",
        outage = report.outage_seconds
    )
}

/// Shades the time in which something is wrong.
fn trouble(body: &mut String, report: &Report, top: f64) {
    let Some(phase) = report.phases.iter().find(|phase| phase.name == "during") else {
        return;
    };
    let from = across(phase.from_seconds, report);
    let width = across(phase.until_seconds, report) - from;
    let _ = writeln!(
        body,
        "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" \
         fill=\"#fff1e5\"/>"
    );
}

fn draw_curve(body: &mut String, curve: &Curve, report: &Report, top: f64) {
    let moments = report.timeline.iter();
    let values = moments.clone().filter_map(|moment| (curve.value)(moment));
    let most = values.fold(curve.least, f64::max);
    let bottom = top + HEIGHT;
    let (title, colour, unit) = (curve.title, curve.colour, curve.unit);
    let _ = writeln!(
        body,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{title}</text>",
        top - 8.0
    );
    for part in [0.0, 0.5, 1.0] {
        let y = bottom - part * HEIGHT;
        let label = short(most * part);
        let _ = writeln!(
            body,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{label}{unit}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    let mut path = String::new();
    let mut is_down = false;
    for moment in moments {
        let Some(value) = (curve.value)(moment) else {
            is_down = false;
            continue;
        };
        // In the middle of the second that it is about.
        let x = across(moment.at_seconds + 0.5, report);
        let y = bottom - value / most * HEIGHT;
        let _ = write!(path, "{}{x:.1} {y:.1} ", if is_down { 'L' } else { 'M' });
        is_down = true;
    }
    let _ = writeln!(
        body,
        "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        path.trim_end()
    );
    let last = report
        .phases
        .last()
        .map_or(0.0, |phase| phase.until_seconds);
    for part in [0.0, 0.5, 1.0] {
        let _ = writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444\">{} s</text>",
            across(last * part, report),
            bottom + 16.0,
            short(last * part)
        );
    }
}

fn across(seconds: f64, report: &Report) -> f64 {
    let last = report
        .phases
        .last()
        .map_or(1.0, |phase| phase.until_seconds);
    LEFT + (RIGHT - LEFT) * (seconds / last).min(1.0)
}

/// A number with as many digits as can be read.
fn short(value: f64) -> String {
    if value >= 10.0 || value == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::settings::Settings;
    use crate::sim::shipped;
    use crate::sim::world::World;

    #[test]
    fn a_picture_has_a_curve_for_all_that_there_is_to_see() {
        let curves = |name| {
            let mut scenario = shipped::find(name).unwrap();
            scenario.duration = std::time::Duration::from_secs(12);
            scenario.clients.rate = Some(100.0);
            let settings = Settings::of_policy(&scenario.policy, 10).unwrap();
            let shown = World::new(&scenario, settings, 1).run();
            let svg = draw(&Report::new(&scenario, 1, &shown));
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            svg.matches("<path ").count()
        };
        assert_eq!(curves("s0-baseline"), 3);
        assert_eq!(curves("s1-slow-replica"), 4);
    }

    #[test]
    fn names_of_others_cannot_break_the_picture() {
        assert_eq!(escaped("a<b>&c"), "a&lt;b&gt;&amp;c");
    }
}
