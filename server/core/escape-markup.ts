const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** All but the characters of XML 1.0 (§2.2): most controls, lone surrogates, U+FFFE, U+FFFF. No entity stands for them. */
const unwritable = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

/**
 * Text that stands for itself in XML, SVG and HTML, also inside quoted attributes. What XML cannot hold becomes the
 * replacement character U+FFFD.
 */
export function escapeMarkup(text: string): string {
  return text.replace(unwritable, '\ufffd').replace(/[&<>"']/g, (mark) => entities[mark] ?? mark);
}
