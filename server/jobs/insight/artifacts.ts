import type { Json } from '../../../workers/queue/job-kind.ts';

interface Artifact {
  /** Where the result names it, e.g. `keys.model`. */
  readonly label: string;
  readonly objectKey: string;
}

const maxArtifacts = 100;
const maxDepth = 6;
const objectKey = /^[\w.-]+(\/[\w.@~:+-]+)+$/;

/** Objects that a result names: texts in members called `key`, `…Key` or below `keys`. */
export function artifactsOf(result: Json | undefined): Artifact[] {
  const found: Artifact[] = [];
  const walk = (value: Json, path: readonly string[], isKey: boolean) => {
    if (found.length >= maxArtifacts || path.length > maxDepth) return;
    if (typeof value === 'string') {
      if (isKey && objectKey.test(value)) found.push({ label: path.join('.'), objectKey: value });
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    for (const [name, member] of Object.entries(value)) {
      walk(member as Json, [...path, name], isKey || /^keys?$|Keys?$/.test(name));
    }
  };
  walk(result ?? null, [], false);
  return found;
}
