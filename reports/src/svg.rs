//! Charts as SVG without scripts; colours are CSS variables of the page.

use crate::html::escaped;
use crate::performance::number;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 42.0;

/// A line chart or a bar chart.
pub(crate) struct Chart {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Label of the y axis.
    pub(crate) unit: String,
    /// Label of the x axis.
    pub(crate) along: String,
    pub(crate) x: Along,
    /// Whether the y axis is logarithmic.
    pub(crate) log: bool,
    pub(crate) series: Vec<Series>,
}

/// Meaning of x.
pub(crate) enum Along {
    Number,
    /// Shares of requests on a scale of nines.
    Share,
    /// Groups of bars, by name; the points of series have the group's number as x.
    Groups(Vec<String>),
}

/// One line, or the bars of one contestant.
pub(crate) struct Series {
    pub(crate) name: String,
    /// CSS variable of the colour.
    pub(crate) hue: &'static str,
    pub(crate) dashed: bool,
    pub(crate) points: Vec<Point>,
}

/// A value and the lowest and highest of its runs.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Point {
    /// A point without a spread.
    pub(crate) const fn bare([x, y]: [f64; 2]) -> Self {
        Self { x, y, low: y, high: y }
    }
}

impl Chart {
    /// The HTML figure element; empty when there are no points.
    pub(crate) fn figure(&self) -> String {
        if self.points().next().is_none() {
            return String::new();
        }
        let keys: String = self.series.iter().filter(|series| !series.points.is_empty()).map(key).collect();
        let (id, title, unit) = (escaped(&self.id), escaped(&self.title), escaped(&self.unit));
        let label = self.summary();
        format!(
            "<figure id=\"{id}\">\n<figcaption>{title}<small>{unit}</small></figcaption>\n<div class=\"keys\">{keys}</div>\n\
             <svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n</figure>\n",
            escaped(&label),
            self.drawing()
        )
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| &series.points)
    }

    fn summary(&self) -> String {
        let peak = |series: &Series| {
            let peak = series.points.iter().map(|point| point.y).fold(f64::MIN, f64::max);
            format!("{} up to {} {}", series.name, number(peak), self.unit)
        };
        let series = self.series.iter().filter(|series| !series.points.is_empty());
        format!("{}: {}", self.title, series.map(peak).collect::<Vec<_>>().join(", "))
    }

    fn drawing(&self) -> String {
        let frame = Frame::around(self);
        let mut out = frame.grid(self);
        for (nth, series) in self.series.iter().enumerate() {
            match &self.x {
                Along::Groups(groups) => {
                    frame.bars(&mut out, series, nth, self.series.len(), groups, &self.unit)
                }
                Along::Number | Along::Share => frame.line(&mut out, series, &self.unit, &self.x),
            }
        }
        out
    }
}

fn key(series: &Series) -> String {
    let dash = if series.dashed { " stroke-dasharray=\"4 3\"" } else { "" };
    format!(
        "<span><svg width=\"16\" height=\"10\" aria-hidden=\"true\"><path d=\"M0 5h16\" stroke=\"var({})\" stroke-width=\"3\"{dash}/></svg>{}</span>",
        series.hue,
        escaped(&series.name)
    )
}

/// The ranges of the axes.
struct Frame {
    x: [f64; 2],
    y: [f64; 2],
    log: bool,
}

/// Shares as nines: 0.9 is 1, 0.99 is 2; 1 is drawn at the next step of the scale.
fn nines(share: f64) -> f64 {
    -(1.0 - share).max(0.000_5).log10()
}

impl Frame {
    fn around(chart: &Chart) -> Self {
        let (mut x, mut y) = ([f64::MAX, f64::MIN], [f64::MAX, f64::MIN]);
        for point in chart.points() {
            let at = chart.x.place(point.x);
            x = [x[0].min(at), x[1].max(at)];
            y = [y[0].min(point.low), y[1].max(point.high)];
        }
        if let Along::Groups(groups) = &chart.x {
            x = [-0.5, groups.len() as f64 - 0.5];
        }
        if x[0] == x[1] {
            x = [x[0] - 0.5, x[1] + 0.5];
        }
        let positive =
            chart.points().map(|point| point.low).filter(|low| *low > 0.0).fold(f64::MAX, f64::min);
        let y = match chart.log && positive < f64::MAX {
            true => [round_factor(positive, false), round_factor(y[1].max(positive * 1.01), true)],
            false => [0.0, if y[1] > 0.0 { y[1] * 1.06 } else { 1.0 }],
        };
        Self { x, y, log: y[0] > 0.0 }
    }

    fn left(&self, x: f64) -> f64 {
        LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)
    }

    fn top(&self, y: f64) -> f64 {
        let share = match self.log {
            true => (y.max(self.y[0]) / self.y[0]).ln() / (self.y[1] / self.y[0]).ln(),
            false => (y - self.y[0]) / (self.y[1] - self.y[0]),
        };
        TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self, chart: &Chart) -> String {
        let mut out = String::new();
        for y in self.ticks() {
            let top = self.top(y);
            out.push_str(&format!(
                "<path class=\"grid\" d=\"M{LEFT} {top:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                WIDTH - RIGHT,
                LEFT - 7.0,
                top + 4.0,
                number(y)
            ));
        }
        let floor = HEIGHT - BOTTOM;
        out.push_str(&format!("<path class=\"rule\" d=\"M{LEFT} {floor}H{}\"/>\n", WIDTH - RIGHT));
        for (x, label) in self.labels(chart) {
            let left = self.left(x);
            out.push_str(&format!(
                "<text x=\"{left:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                floor + 16.0,
                escaped(&label)
            ));
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        out + &format!(
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            HEIGHT - 6.0,
            escaped(&chart.along)
        )
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let powers = self.y[0].log10().floor() as i32..=self.y[1].log10().ceil() as i32;
            let factors: &[f64] = if powers.clone().count() > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let ticks =
                powers.flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)));
            return ticks.filter(|tick| (self.y[0] * 0.999..=self.y[1] * 1.001).contains(tick)).collect();
        }
        steps(self.y, 6)
    }

    fn labels(&self, chart: &Chart) -> Vec<(f64, String)> {
        match &chart.x {
            Along::Groups(groups) => (0..).map(f64::from).zip(groups.iter().cloned()).collect(),
            Along::Number => {
                let ticks = steps(self.x, 7);
                let labels = tick_labels(&ticks);
                ticks.into_iter().zip(labels).collect()
            }
            Along::Share => {
                let shares = [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")];
                shares.map(|(share, label)| (nines(share), label.to_owned())).to_vec()
            }
        }
    }

    fn line(&self, out: &mut String, series: &Series, unit: &str, along: &Along) {
        let at = |point: &Point| (self.left(along.place(point.x)), self.top(point.y));
        let path: Vec<String> = series.points.iter().map(at).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        if path.is_empty() {
            return;
        }
        let dash = if series.dashed { " stroke-dasharray=\"5 3\"" } else { "" };
        out.push_str(&format!(
            "<path class=\"line\" stroke=\"var({})\"{dash} d=\"M{}\"/>\n",
            series.hue,
            path.join("L")
        ));
        // Curves over time have too many points for markers.
        let few = series.points.len() <= 20;
        for point in series.points.iter().filter(|_| few) {
            let (x, y) = at(point);
            self.spread(out, x, point, series.hue);
            out.push_str(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"var({})\"><title>{}</title></circle>\n",
                series.hue,
                escaped(&format!("{}, {}: {}", series.name, along.text(point.x), text(point, unit)))
            ));
        }
    }

    fn bars(&self, out: &mut String, series: &Series, nth: usize, of: usize, groups: &[String], unit: &str) {
        let wide = (self.left(1.0) - self.left(0.0)) * 0.8 / of as f64;
        for point in &series.points {
            let left = self.left(point.x) + (nth as f64 - of as f64 / 2.0) * wide;
            let top = self.top(point.y);
            let group = groups.get(point.x as usize).map_or("", String::as_str);
            out.push_str(&format!(
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"var({})\"><title>{}</title></rect>\n",
                wide - 2.0,
                (HEIGHT - BOTTOM - top).max(0.5),
                series.hue,
                escaped(&format!("{}, {group}: {}", series.name, text(point, unit)))
            ));
            let middle = left + wide / 2.0 - 1.0;
            self.spread(out, middle, point, "--ink");
        }
    }

    /// Draws the range of the runs.
    fn spread(&self, out: &mut String, x: f64, point: &Point, hue: &str) {
        if point.low < point.high {
            let (low, high) = (self.top(point.low), self.top(point.high));
            out.push_str(&format!(
                "<path class=\"spread\" stroke=\"var({hue})\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>\n"
            ));
        }
    }
}

impl Along {
    /// Position of a value on the axis.
    fn place(&self, x: f64) -> f64 {
        if matches!(self, Self::Share) { nines(x) } else { x }
    }

    fn text(&self, x: f64) -> String {
        match self {
            Self::Share if x >= 1.0 => "slowest".into(),
            Self::Share => format!("{} %", number(x * 100.0)),
            Self::Number | Self::Groups(_) => number(x),
        }
    }
}

fn text(point: &Point, unit: &str) -> String {
    let spread = if point.low < point.high {
        format!(" ({} .. {})", number(point.low), number(point.high))
    } else {
        String::new()
    };
    format!("{}{spread} {unit}", number(point.y))
}

/// Rounds `value` up or down to 1, 2 or 5 times a power of ten.
fn round_factor(value: f64, up: bool) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let found = match up {
        true => factors.into_iter().find(|factor| *factor >= value * 0.999),
        false => factors.into_iter().rev().find(|factor| *factor <= value * 1.001),
    };
    found.unwrap_or(value)
}

/// Labels of ascending ticks, with as many decimals as tell neighbours apart.
fn tick_labels(ticks: &[f64]) -> Vec<String> {
    let labels: Vec<String> = ticks.iter().map(|tick| number(*tick)).collect();
    match ticks {
        [first, second, ..] if labels.windows(2).any(|pair| pair[0] == pair[1]) => {
            let decimals = (-(second - first).log10().floor()).max(0.0) as usize;
            ticks.iter().map(|tick| format!("{tick:.decimals$}")).collect()
        }
        _ => labels,
    }
}

/// About `count` round numbers within a range; at most twice as many, also where numbers are too large to differ by a step.
fn steps([low, high]: [f64; 2], count: u32) -> Vec<f64> {
    let raw = (high - low) / f64::from(count);
    let power = 10_f64.powf(raw.log10().floor());
    let size =
        [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|size| *size >= raw * 0.999);
    let size = size.unwrap_or(raw);
    let first = (low / size).ceil();
    let ticks = (0..2 * count).map(|nth| (first + f64::from(nth)) * size);
    ticks.take_while(|value| *value <= high + size * 1e-6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(steps([0.0, 10.6], 6), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(steps([10.0, 240.0], 7), [50.0, 100.0, 150.0, 200.0]);
        assert_eq!((round_factor(34.0, false), round_factor(34.0, true)), (20.0, 50.0));
        assert_eq!((round_factor(0.02, false), round_factor(600.0, true)), (0.02, 1000.0));
        assert_eq!(steps([0.0, 0.053], 6), [0.0, 0.01, 0.02, 0.03, 0.04, 0.05]);
        assert_eq!(
            tick_labels(&steps([18.33, 18.47], 7)),
            ["18.34", "18.36", "18.38", "18.40", "18.42", "18.44", "18.46"]
        );
        // Values close together, and values that differ by less than a step can tell.
        assert!(steps([1.060_000_1, 1.060_000_2], 7).iter().all(|tick| *tick <= 1.060_000_21));
        let large = 2_f64.powi(64);
        assert!(steps([large - 0.5, large + 0.5], 7).len() <= 14);
        assert_eq!(tick_labels(&[10.0, 20.0]), ["10.0", "20.0"].map(|label| number(label.parse().unwrap())));
    }

    fn chart(points: &[[f64; 2]], log: bool) -> Chart {
        let points = points.iter().copied().map(Point::bare).collect();
        let series = vec![Series { name: "<karst>".into(), hue: "--blue", dashed: false, points }];
        let text = || String::from("t");
        Chart { id: text(), title: text(), unit: text(), along: text(), x: Along::Number, log, series }
    }

    #[test]
    fn a_chart_draws_its_points_and_escapes_its_text() {
        let figure = chart(&[[0.0, 1.0], [1.0, 2.0]], false).figure();
        assert_eq!((figure.matches("<circle").count(), figure.matches("<karst>").count()), (2, 0));
        assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure}");
        assert_eq!(chart(&[], false).figure(), "");
    }

    #[test]
    fn zeros_and_single_points_are_drawn_too() {
        for points in [&[[0.0, 0.0]][..], &[[0.0, 0.0], [1.0, 5.0]], &[[3.0, 7.0]]] {
            for log in [false, true] {
                let figure = chart(points, log).figure();
                assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure}");
            }
        }
    }
}
