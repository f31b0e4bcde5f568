// The any-time slider: a threshold moves a marker on the recorded curve, and the numbers beside it.
// The numbers stand in the page as JSON (repro/report/interactive.py); nothing is fetched.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 320, LEFT = 46, RIGHT = 14, TOP = 14, BOTTOM = 46;

  // An element with attributes and children.
  const make = (name, attributes = {}, ...children) => {
    const svg = ["svg", "g", "path", "circle", "line", "text"].includes(name);
    const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const millions = (macs) => (macs / 1e6).toFixed(macs < 1e7 ? 2 : 1) + " M";
  const percent = (value) => value.toFixed(1) + " %";

  // Round numbers 1, 2, 5, 10 ... between two ends, for a logarithmic axis.
  const decades = (low, high) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1)
      for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
    return found.filter((tick) => tick >= low && tick <= high);
  };
  // About five round numbers between two ends, for a linear one.
  const rounds = (low, high) => {
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((digit) => digit * power >= rough);
    const found = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + 1e-9; tick += step) found.push(tick);
    return found;
  };

  // The curve of one model, with its marker: returns the drawing and a function that moves the marker.
  const draw = (curve, WIDTH) => {
    const macs = [...curve.points.map((p) => p[1]), ...curve.marks.map((m) => m.macs)];
    const top1 = [...curve.points.map((p) => p[2]), ...curve.marks.map((m) => m.top1)];
    const low = Math.min(...macs) * 0.95, high = Math.max(...macs) * 1.05;
    const pad = 0.08 * (Math.max(...top1) - Math.min(...top1)) + 0.05;
    const worst = Math.min(...top1) - pad, best = Math.max(...top1) + pad;
    const x = (value) => LEFT + (Math.log(value / low) / Math.log(high / low)) * (WIDTH - LEFT - RIGHT);
    const y = (value) => TOP + ((best - value) / (best - worst)) * (HEIGHT - TOP - BOTTOM);

    const picture = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", class: "repro-curve" });
    for (const tick of rounds(worst, best)) {
      picture.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }));
      picture.append(make("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, String(+tick.toFixed(2))));
    }
    for (const tick of decades(low, high)) {
      picture.append(make("line", { class: "axis", x1: x(tick), x2: x(tick), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 5 }));
      picture.append(make("text", { x: x(tick), y: HEIGHT - BOTTOM + 19, "text-anchor": "middle" }, String(tick / 1e6)));
    }
    picture.append(make("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }));
    picture.append(make("text", { x: WIDTH - RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, WIDTH > 420 ? "multiply-adds an image, millions (logarithmic)" : "multiply-adds, millions (log.)"));
    picture.append(make("text", { x: LEFT + 6, y: TOP + 8 }, `top-1, % (${curve.set} set)`));
    const path = curve.points.map((p, i) => `${i ? "L" : "M"}${x(p[1]).toFixed(1)} ${y(p[2]).toFixed(1)}`).join("");
    picture.append(make("path", { class: "line", d: path }));
    for (const mark of curve.marks) {
      const side = x(mark.macs) > WIDTH / 2 ? ["end", -9] : ["start", 9];
      picture.append(make("circle", { class: "mark", cx: x(mark.macs), cy: y(mark.top1), r: 5 }));
      picture.append(make("text", { x: x(mark.macs) + side[1], y: y(mark.top1) + 16, "text-anchor": side[0] }, mark.name));
    }
    const marker = make("circle", { class: "marker", r: 8 });
    picture.append(marker);
    const move = (point) => {
      marker.setAttribute("cx", x(point[1]));
      marker.setAttribute("cy", y(point[2]));
    };
    return [picture, move];
  };

  const start = (box) => {
    const curves = JSON.parse(box.querySelector("script").textContent);
    const choice = make("select", { id: "anytime-model" });
    curves.forEach((curve, i) => choice.append(make("option", { value: i }, curve.name)));
    const slider = make("input", { type: "range", id: "anytime-threshold", min: 0, step: 1 });
    const names = ["threshold τ", "multiply-adds", "against one expert for all", "top-1 accuracy", "images that exit early", "experts the others use"];
    const values = names.map((name) => make("dd", { "data-value": name }));
    const readout = make("dl", { class: "repro-readout" });
    names.forEach((name, i) => readout.append(make("div", {}, make("dt", {}, name), values[i])));
    const stage = make("div");
    box.append(
      make("div", { class: "repro-controls" },
        make("label", { for: "anytime-model" }, "model ", choice),
        make("label", { for: "anytime-threshold" }, "threshold τ: every expert … none ", slider)),
      readout, stage);

    let curve, move;
    const turn = () => {
      const point = curve.points[slider.value];
      const [tau, macs, top1, exits, others] = point;
      const plain = curve.marks.find((mark) => mark.name.startsWith("one expert"));
      const more = plain ? (macs <= plain.macs ? "−" : "+") + percent(Math.abs(100 * (1 - macs / plain.macs))) : "–";
      const shown = [tau === 0 || tau >= 1e-4 ? String(+tau.toPrecision(2)) : tau.toExponential(1), millions(macs), more,
        percent(top1), percent(exits), others === null ? "–" : others.toFixed(2)];
      values.forEach((value, i) => { value.textContent = shown[i]; });
      slider.setAttribute("aria-valuetext", `τ ${shown[0]}: ${millions(macs)} multiply-adds, ${percent(top1)} top-1, ${percent(exits)} exit early`);
      move(point);
    };
    const choose = () => {
      curve = curves[choice.value];
      slider.max = curve.points.length - 1;
      const small = curve.points.findIndex((point) => point[0] >= 0.01);
      slider.value = small < 0 ? Math.floor(curve.points.length / 2) : small;
      redraw();
    };
    let drawn;  // at which width
    const redraw = () => {
      drawn = stage.clientWidth;
      const [picture, mover] = draw(curve, Math.max(drawn, 280));
      stage.replaceChildren(picture);
      move = mover;
      turn();
    };
    choice.addEventListener("change", choose);
    slider.addEventListener("input", turn);
    box.hidden = false;
    choose();
    new ResizeObserver(() => { if (stage.clientWidth !== drawn) redraw(); }).observe(stage);
  };

  const box = document.getElementById("anytime-slider");
  if (box) start(box);
})();
