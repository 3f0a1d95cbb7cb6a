/* A table whose rows open something. Texts are set as texts, never as markup. */
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let box = parentElement.querySelector(".co-table-box");
  if (!box) {
    box = document.createElement("div");
    box.className = "co-table-box";
    parentElement.appendChild(box);
  }
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined && text !== null) made.textContent = text;
    return made;
  };
  const drawn = (course) => {
    const space = "http://www.w3.org/2000/svg";
    const low = Math.min(...course), high = Math.max(...course);
    const points = course.map((value, place) =>
      (place / (course.length - 1)) * 100 + "," + (17 - ((value - low) / (high - low || 1)) * 14));
    const picture = document.createElementNS(space, "svg");
    picture.setAttribute("class", "co-course");
    picture.setAttribute("viewBox", "0 0 100 20");
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("aria-hidden", "true");
    const line = picture.appendChild(document.createElementNS(space, "polyline"));
    line.setAttribute("points", points.join(" "));
    return picture;
  };
  const table = element("table", "co-table" + (data.stack ? " co-stack" : ""));
  table.setAttribute("aria-label", data.label);
  const head = table.appendChild(element("thead")).appendChild(element("tr"));
  for (const column of data.columns) {
    const cell = head.appendChild(element(column.label ? "th" : "td", column.cls, column.label));
    if (column.label) cell.scope = "col";
  }
  const body = table.appendChild(element("tbody"));
  for (const row of data.rows) {
    const line = body.appendChild(element("tr", "go" + (row.id === data.picked ? " is-picked" : "")));
    data.columns.forEach((column, index) => {
      const value = row.cells[index] || {};
      const cell = line.appendChild(element("td", column.cls));
      if (column.name) cell.dataset.label = column.name;
      let inside = cell;
      if (index === 0) {
        inside = cell.appendChild(element("a", "open"));
        inside.href = data.path ? data.path + encodeURIComponent(row.id) : "#";
        inside.addEventListener("click", (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) { event.stopPropagation(); return; }
          event.preventDefault();
        });
      }
      if (value.colour && value.bar === undefined) {
        const swatch = inside.appendChild(element("i", "co-swatch"));
        swatch.style.setProperty("--c", value.colour);
      }
      if (value.pill) {
        inside.appendChild(element("span", "co-pill " + (value.tone || ""), value.pill));
      } else if (value.text !== undefined) {
        inside.appendChild(element("span", index === 0 ? "main" : value.faint ? "co-none" : "", value.text));
      }
      if (value.bar !== undefined) {
        const bar = cell.appendChild(element("span", "co-bar"));
        const fill = bar.appendChild(element("i"));
        fill.style.width = Math.max(0, Math.min(100, value.bar * 100)) + "%";
        if (value.colour) fill.style.setProperty("--c", value.colour);
      }
      if (value.course) cell.appendChild(drawn(value.course));
      if (value.sub) inside.appendChild(element("span", "sub", value.sub));
    });
    line.addEventListener("click", () => setTriggerValue("picked", row.id));
  }
  box.replaceChildren(table);
}
