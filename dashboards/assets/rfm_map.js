/* The 25 cells of RFM: recency upwards, frequency and value to the right. */
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let map = parentElement.querySelector(".co-map");
  if (!map) {
    map = document.createElement("div");
    parentElement.appendChild(map);
  }
  map.className = "co-map" + (data.picked ? " has-pick" : "");
  map.setAttribute("role", "group");
  map.setAttribute("aria-label", data.label);
  const children = [];
  const add = (name, className, text) => {
    const made = document.createElement(name);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    children.push(made);
    return made;
  };
  for (let recency = 5; recency >= 1; recency--) {
    add("span", "axis", String(recency));
    for (let value = 1; value <= 5; value++) {
      const cell = data.cells[recency + "-" + value];
      const button = add("button", "co-cell" + (cell.segment === data.picked ? " is-picked" : ""));
      button.type = "button";
      button.style.setProperty("--c", cell.colour);
      button.style.setProperty("--a", cell.strength + "%");
      button.setAttribute("aria-label", cell.description);
      button.setAttribute("aria-pressed", String(cell.segment === data.picked));
      button.title = cell.description;
      const name = document.createElement("span");
      name.className = "n";
      name.textContent = cell.name;
      const count = document.createElement("span");
      count.className = "v";
      count.textContent = cell.count;
      button.append(name, count);
      button.addEventListener("click", () => setTriggerValue("picked", cell.segment));
    }
  }
  add("span", "axis", "");
  for (let value = 1; value <= 5; value++) add("span", "axis", String(value));
  map.replaceChildren(...children);
}
