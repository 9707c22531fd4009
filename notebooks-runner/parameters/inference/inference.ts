import type { DeclaredType } from './declared-type.ts';

/** One variable that a defaults cell declares. */
export interface Declaration {
  readonly name: string;
  /** How it is declared, e.g. `const`: an override must use the same word, or the kernel refuses it. Empty in Python. */
  readonly keyword: string;
  readonly type: DeclaredType;
  /** Source text of the annotation; empty when there is none. */
  readonly annotationText: string;
  /** Source text of the default; empty when there is none. */
  readonly defaultText: string;
  /** The comment behind it on its last line. */
  readonly help: string;
}

/** What a defaults cell declares. */
export interface Inference {
  readonly declarations: ReadonlyMap<string, Declaration>;
  /** False when it may declare more than was found (destructuring): unknown names are then accepted. */
  readonly isComplete: boolean;
}
