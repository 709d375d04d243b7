//! Bars with their spread as SVG: a panel for each figure, the best server first.

use std::fmt::Write as _;

use crate::figure::{Figure, OURS, digits};

const WIDTH: f64 = 760.0;
/// Where bars begin: before that are the servers' names.
const LEFT: f64 = 190.0;
/// Where the longest bar ends: after that is its value.
const RIGHT: f64 = 640.0;
const ROW: f64 = 24.0;
const HEAD: f64 = 40.0;

/// A picture of the figures.
pub fn svg(title: &str, figures: &[Figure]) -> String {
    let shown: Vec<&Figure> = figures.iter().filter(|figure| !figure.turns.is_empty()).collect();
    let height = HEAD + shown.iter().map(|figure| HEAD + ROW * figure.turns.len() as f64).sum::<f64>() + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"17\" font-weight=\"bold\">{}</text>\n",
        escape(title)
    );
    let mut y = HEAD;
    for figure in shown {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<text x=\"16\" y=\"{}\" fill=\"#444\">{}, {}</text>",
            y + 26.0,
            escape(&figure.name),
            escape(&figure.unit)
        );
        y += HEAD;
        panel(&mut out, figure, y);
        y += ROW * figure.turns.len() as f64;
    }
    out + "</svg>\n"
}

fn panel(out: &mut String, figure: &Figure, top: f64) {
    let servers = figure.ranking();
    let greatest = servers.iter().filter_map(|server| figure.spread(server)).map(|(_, most)| most).fold(0.0, f64::max);
    let at = |value: f64| LEFT + (RIGHT - LEFT) * if greatest > 0.0 { value / greatest } else { 0.0 };
    for (row, server) in servers.into_iter().enumerate() {
        let (Some(median), Some((least, most))) = (figure.median(server), figure.spread(server)) else { continue };
        let y = top + ROW * row as f64;
        let middle = y + ROW / 2.0;
        let color = if server == OURS { "#0b7285" } else { "#adb5bd" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{color}\"/>\n\
             <path d=\"M{:.1} {middle}H{:.1}M{:.1} {}v8M{:.1} {}v8\" stroke=\"#212529\" fill=\"none\"/>\n\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            LEFT - 8.0,
            middle + 4.5,
            escape(server),
            y + 3.0,
            at(median) - LEFT,
            ROW - 6.0,
            at(least),
            at(most),
            at(least),
            middle - 4.0,
            at(most),
            middle - 4.0,
            at(most) + 8.0,
            middle + 4.5,
            digits(median)
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_a_bar_of_its_length() {
        let mut figure = Figure::lower("time < all", "ms");
        for (server, value) in [("atoll", 5.0), ("workerd", 10.0)] {
            figure.add(server, value).unwrap();
        }
        let svg = svg("Title", &[figure, Figure::lower("nothing", "ms")]);
        assert!(svg.contains("width=\"225.0\"") && svg.contains("width=\"450.0\""), "{svg}");
        assert!(svg.contains("time &lt; all") && !svg.contains("nothing"));
        assert_eq!(svg.matches("<text").count(), 6);
    }
}
