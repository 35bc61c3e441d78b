/**
 * ECharts with the parts that charts of the console use, and nothing else; loaded when the first chart shows.
 *
 * It is most of what a browser loads, and the page one begins with is to load less than 300 KB: heat maps, donuts, graphs and
 * legends are a few elements of our own, where ECharts' would cost 40 KB; choosing a range (below) is 30 lines in place of
 * 25 KB.
 */

import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsCoreOption, type EChartsType } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, LineChart, GridComponent, TooltipComponent, CanvasRenderer]);

export type Option = EChartsCoreOption;
export type Chart = EChartsType;

/** A colour or a size of the design, as it is now. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** What every chart has in common, in the colours of the scheme that the system wishes for. */
function theme(): Record<string, unknown> {
  const [text, faint, line] = [token("--text-2"), token("--text-3"), token("--line")];
  const axis = {
    axisLine: { lineStyle: { color: line } },
    axisTick: { show: false },
    axisLabel: { color: faint, fontSize: 11 },
    splitLine: { lineStyle: { color: line, type: "dashed" } },
  };
  return {
    color: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => token(`--series-${number}`)),
    backgroundColor: "transparent",
    textStyle: { fontFamily: token("--font"), color: text, fontSize: 12 },
    timeAxis: { ...axis, splitLine: { show: false } },
    categoryAxis: { ...axis, splitLine: { show: false } },
    valueAxis: { ...axis, axisLine: { show: false } },
    line: { symbol: "none", lineStyle: { width: 1.75 } },
    tooltip: {
      renderMode: "richText", // drawn on the canvas: no text of an event ever becomes HTML
      backgroundColor: token("--raised"),
      borderColor: token("--line-strong"),
      textStyle: { color: token("--text"), fontSize: 12 },
    },
  };
}

/** Begin a chart in an element that has a size. */
export function draw(element: HTMLElement): Chart {
  return init(element, theme(), { renderer: "canvas" });
}

/** The option with what charts must never be without. */
export function safe(option: Option, animate: boolean): Option {
  const tooltip = (option["tooltip"] ?? {}) as Record<string, unknown>;
  return {
    animation: animate,
    animationDuration: 250,
    ...option,
    tooltip: { confine: true, ...tooltip, renderMode: "richText" },
  };
}

/**
 * Let one choose a range by dragging over a time axis. show: where the band is, in pixels of the chart; undefined when
 * there is none. chosen: the instants at its ends, in milliseconds.
 */
export function brush(
  chart: Chart,
  show: (band: { left: number; width: number } | undefined) => void,
  chosen: (fromMs: number, toMs: number) => void,
): void {
  const LEAST_PX = 4; // less is a click
  let from: number | undefined;
  const renderer = chart.getZr();
  const at = (px: number) => Number(chart.convertFromPixel({ xAxisIndex: 0 }, px));
  renderer.on("mousedown", (event) => {
    if (chart.containPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY])) from = event.offsetX;
  });
  renderer.on("mousemove", (event) => {
    if (from === undefined) return;
    show({ left: Math.min(from, event.offsetX), width: Math.abs(event.offsetX - from) });
  });
  const end = (event: { offsetX: number }) => {
    if (from === undefined) return;
    const [first, last] = [Math.min(from, event.offsetX), Math.max(from, event.offsetX)];
    from = undefined;
    show(undefined);
    if (last - first >= LEAST_PX) chosen(Math.round(at(first)), Math.round(at(last)));
  };
  renderer.on("mouseup", end);
  renderer.on("globalout", () => {
    from = undefined;
    show(undefined);
  });
}
