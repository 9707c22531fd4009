const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Text for an XML attribute or element; control characters, which XML 1.0 cannot hold, are dropped. */
export function escapeXml(text: string): string {
  return [...text]
    .filter((char) => char >= ' ' || char === '\t' || char === '\n')
    .map((char) => entities[char] ?? char)
    .join('');
}
