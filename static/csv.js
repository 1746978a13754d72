// Comma-separated values (RFC 4180). Pure.

const needsQuotes = /[",\r\n]/;
// What a spreadsheet would take for a formula. Names come from outside.
const isFormula = /^[=+\-@\t\r]/;

function cell(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = isFormula.test(String(value)) ? `'${value}` : String(value);
  return needsQuotes.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export const csv = ({ columns, rows }) =>
  [columns, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
