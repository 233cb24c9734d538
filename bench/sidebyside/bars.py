"""A small table with bars for a terminal."""

EIGHTHS = " ▏▎▍▌▋▊▉█"
WIDTH = 40


def bar(value, most, width, utf8):
    """value of most, as a part of width; what is not nothing is seen."""
    if most <= 0 or value <= 0:
        return ""
    if not utf8:
        return "#" * max(1, round(value / most * width))
    eighths = max(1, round(value / most * width * 8))
    return "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


def draw(results, utf8):
    """results: (name, kvbench's report), the first being what the others are compared with."""
    most = max(report["ops_per_s"] for _, report in results)
    base = results[0][1]["ops_per_s"]
    names = max(len(name) for name, _ in results)
    lines = [f"{'':{names}}  {'ops/s':>12}  {'ratio':>7}  {'p50 us':>9}  {'p99 us':>9}  {'p99.9 us':>9}"]
    for name, r in results:
        ratio = f"{r['ops_per_s'] / base:.1f}x" if base else "-"
        lines.append(f"{name:{names}}  {r['ops_per_s']:>12,.0f}  {ratio:>7}  {r['p50_us']:>9,.1f}  {r['p99_us']:>9,.1f}"
                     f"  {r['p999_us']:>9,.1f}")
    lines.append("")
    for name, r in results:
        lines.append(f"{name:{names}}  {bar(r['ops_per_s'], most, WIDTH, utf8)}")
    return "\n".join(lines)
