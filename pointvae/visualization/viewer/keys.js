// What the page listens to beside the map: tabs, buttons, keys, and the reader's own settings.

Object.assign(Page.prototype, {
  listen() {
    const { at } = this;
    const tabs = ["near", "path", "draws"];
    for (const tab of tabs) at(`tab-${tab}`).addEventListener("click", () => this.openTab(tab));
    at("tabs").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 2, ArrowRight: 1 }[event.key];
      if (!step) return;
      this.openTab(tabs[(tabs.indexOf(this.tab) + step) % 3]);
      at(`tab-${this.tab}`).focus();
    });
    at("pin").addEventListener("click", () => this.choose(this.pinned >= 0 ? this.pinned : this.row));
    at("open-help").addEventListener("click", () => at("help").showModal());
    for (const dialog of [at("help"), at("table")]) {
      dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    }
    document.addEventListener("keydown", (event) => this.key(event));
    for (const query of [matchMedia("(prefers-color-scheme: dark)"), matchMedia("print")]) {
      query.addEventListener("change", () => {
        readTheme();
        this.map.drawings.clear();
        this.path.show();
        this.refresh();
      });
    }
    this.still.addEventListener("change", () => this.turntable.setTurning(!this.still.matches));
    new ResizeObserver(() => this.turntable.ask()).observe(at("left"));
  },

  key(event) {
    const typing = event.target.closest("input[type=search], select, dialog[open]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const onMap = event.target === this.at("map-marks") || event.target === document.body;
    const keys = {
      "/": () => this.search.input.focus(),
      "?": () => this.at("help").showModal(),
      i: () => this.addEnd(),
      s: () => (this.tab === "draws" ? this.draws.next() : this.openTab("draws")),
      m: () => this.setMap((this.map.map + 1) % this.scene.maps.length),
      "+": () => this.map.zoomBy(1.6),
      "=": () => this.map.zoomBy(1.6),
      "-": () => this.map.zoomBy(1 / 1.6),
      0: () => this.map.showAll(),
      Escape: () => this.release(),
    };
    const act = event.key === "Enter" && onMap ? () => this.row >= 0 && this.choose(this.row) : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  },

  addEnd() {
    if (this.row < 0) return;
    const first = this.tab !== "path" && this.path.ends.length === 0;
    if (this.tab !== "path") this.openTab("path");
    if (!first) this.path.take(this.row);
    this.refresh();
  },

  release() {
    this.tip(-1);
    if (this.tab !== "near") return this.openTab("near");
    this.pinned = -1;
    this.legend.reset();
  },
});
