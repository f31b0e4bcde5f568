// The routing explorer: choose a class, and see which experts its training images are dealt to, and with whom.
// The counts stand in the page as JSON (repro/report/interactive.py); nothing is fetched.
(() => {
  "use strict";
  const COMPANIONS = 5;  // classes named beside an expert

  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const start = (box) => {
    const sets = JSON.parse(box.querySelector("script").textContent);
    const choice = make("select", { id: "routing-set" });
    sets.forEach((set, i) => choice.append(make("option", { value: i }, set.name)));
    const classes = make("select", { id: "routing-class" });
    const told = make("p", { role: "status", class: "repro-told" });
    const body = make("tbody");
    const head = make("tr", {}, ...["expert", "images", "share of the class, and the classes with most images there"]
      .map((name) => make("th", { scope: "col" }, name)));
    const table = make("table", { class: "repro-table repro-routing" }, make("thead", {}, head), body);
    box.append(
      make("div", { class: "repro-controls" },
        make("label", { for: "routing-set" }, "image set ", choice),
        make("label", { for: "routing-class" }, "class ", classes)),
      told,
      make("div", { class: "repro-scroll", role: "group", tabindex: 0, "aria-label": "experts of the class" }, table));

    // The classes that share an expert, most images first, each a button that chooses it.
    const companions = (set, label, expert) =>
      set.counts.map((row, c) => [row[expert], c])
        .filter(([count, c]) => count > 0 && c !== label)
        .sort((a, b) => b[0] - a[0]).slice(0, COMPANIONS)
        .map(([count, c]) => {
          const button = make("button", { type: "button", class: "repro-choose" }, `${set.classes[c]} (${count})`);
          button.addEventListener("click", () => { classes.value = c; show(); classes.focus(); });
          return button;
        });

    const show = () => {
      const set = sets[choice.value], label = Number(classes.value), row = set.counts[label];
      const all = row.reduce((sum, count) => sum + count, 0);
      const used = row.map((count, k) => [count, k]).filter(([count]) => count > 0).sort((a, b) => b[0] - a[0]);
      const entropy = used.reduce((sum, [count]) => sum - (count / all) * Math.log(count / all), 0);
      told.textContent = `${set.classes[label]}: ${all} training images in ${used.length} of ${row.length} experts, `
        + `effectively ${Math.exp(entropy).toFixed(1)}.`;
      body.replaceChildren(...used.map(([count, k]) => {
        const share = (100 * count) / all;
        const width = `width: ${((75 * count) / used[0][0]).toFixed(1)}%`;  // the longest bar leaves room for its number
        const bar = make("span", { class: "repro-bar", style: width });
        return make("tr", {},
          make("th", { scope: "row" }, String(k + 1)),
          make("td", {}, String(count)),
          make("td", { class: "repro-share" }, make("div", {}, bar, share.toFixed(1) + " %"),
            make("div", {}, ...companions(set, label, k))));
      }));
    };
    const fill = () => {
      const set = sets[choice.value];
      const order = set.classes.map((name, c) => [name, c])
        .sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true }));
      classes.replaceChildren(...order.map(([name, c]) => make("option", { value: c }, name)));
      classes.value = Math.max(set.classes.indexOf(set.start), 0);
      show();
    };
    choice.addEventListener("change", fill);
    classes.addEventListener("change", show);
    fill();
    box.hidden = false;
  };

  const box = document.getElementById("routing-explorer");
  if (box) start(box);
})();
