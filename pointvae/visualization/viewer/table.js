// The shapes as a table: what the map says, for those who read and do not see it, and for sorting.

class Table {
  constructor(scene, on) {
    Object.assign(this, { scene, on, by: -1, down: false, rows: 100 });
    this.dialog = document.getElementById("table");
    document.getElementById("open-table").addEventListener("click", () => this.open());
    document.getElementById("table-more").addEventListener("click", () => {
      this.rows += 100;
      this.fill();
    });
    const heads = ["name", ...scene.columns.map((column) => column.told)].map((told, k) =>
      make("th", { scope: "col", "aria-sort": "none" }, make("button", { type: "button", onclick: () => this.sort(k - 1) }, told)),
    );
    this.dialog.querySelector("thead").append(make("tr", {}, ...heads));
  }

  open() {
    this.rows = 100;
    this.list = Array.from({ length: this.scene.count }, (_, row) => row).filter((row) => this.on.open(row));
    this.order();
    this.fill();
    this.dialog.showModal();
  }

  sort(by) {
    this.down = this.by === by && !this.down;
    this.by = by;
    this.rows = 100;
    this.order();
    this.fill();
  }

  order() {
    const { scene, by } = this;
    const column = scene.columns[by];
    const key = !column ? (row) => scene.names[row] : column.kind === "categories" ? (row) => scene.told(column, row) : (row) => column.values[row];
    const sign = this.down ? -1 : 1;
    const compare = (a, b) => (typeof a === "number" ? Number.isNaN(a) - Number.isNaN(b) || sign * (a - b) : sign * (a < b ? -1 : a > b ? 1 : 0));
    const keys = new Map(this.list.map((row) => [row, key(row)]));
    if (by !== -1 || this.down) this.list.sort((a, b) => compare(keys.get(a), keys.get(b)) || a - b);
    [...this.dialog.querySelectorAll("th[scope=col]")].forEach((head, k) => {
      head.setAttribute("aria-sort", k - 1 !== by ? "none" : this.down ? "descending" : "ascending");
    });
  }

  fill() {
    const { scene } = this;
    const shown = this.list.slice(0, this.rows);
    this.dialog.querySelector("tbody").replaceChildren(
      ...shown.map((row) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, make("button", { type: "button", onclick: () => this.take(row) }, nameElement(scene.names[row]))),
          ...scene.columns.map((column) => make("td", { class: column.kind }, column.kind === "numbers" ? scene.told(column, row) : nameElement(scene.told(column, row)))),
        ),
      ),
    );
    document.getElementById("table-note").textContent = `${shown.length.toLocaleString("en")} of ${this.list.length.toLocaleString("en")} shapes`;
    document.getElementById("table-more").hidden = shown.length === this.list.length;
  }

  take(row) {
    this.dialog.close();
    this.on.take(row);
  }
}
