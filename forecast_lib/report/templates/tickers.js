(function () {
  var table = document.getElementById("all");
  if (!table) return;
  var body = table.tBodies[0], rows = Array.from(body.rows), heads = Array.from(table.tHead.rows[0].cells);
  var search = document.getElementById("search"), status = document.getElementById("status");
  document.getElementById("tools").hidden = false;

  function value(row, column) {
    var cell = row.cells[column], number = cell.dataset.v;
    if (number !== undefined) return number === "" ? null : parseFloat(number);
    return cell.textContent.trim().toLowerCase() || null;
  }
  function sort(column) {
    var up = heads[column].getAttribute("aria-sort") !== "ascending", way = up ? 1 : -1;
    heads.forEach(function (head, at) { at === column ? head.setAttribute("aria-sort", up ? "ascending" : "descending") : head.removeAttribute("aria-sort"); });
    rows.map(function (row) { return [value(row, column), row]; }).sort(function (a, b) {
      if (a[0] === b[0]) return 0;
      if (a[0] === null || b[0] === null) return a[0] === null ? 1 : -1;  // what is missing stays last
      return a[0] < b[0] ? -way : way;
    }).forEach(function (pair) { body.appendChild(pair[1]); });
  }
  function filter() {
    var words = search.value.trim().toLowerCase().split(/\s+/), shown = 0;
    rows.forEach(function (row) {
      var text = (row.textContent + " " + (row.dataset.more || "")).toLowerCase();
      row.hidden = (status.value !== "" && row.dataset.status !== status.value) || !words.every(function (word) { return text.includes(word); });
      shown += row.hidden ? 0 : 1;
    });
    document.getElementById("shown").textContent = shown === rows.length ? "" : shown + " of " + rows.length;
    document.getElementById("none").hidden = shown > 0;
  }
  heads.forEach(function (head, column) {
    if (!rows.some(function (row) { return value(row, column) !== null; })) return;
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", function () { sort(column); });
  });
  document.getElementById("tools").addEventListener("submit", function (event) { event.preventDefault(); });
  search.addEventListener("input", filter);
  status.addEventListener("change", filter);
  filter();
})();
