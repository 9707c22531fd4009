import type { RunCommand } from '../../server/cli/commands.ts';

export interface CommandEnd {
  readonly code: number;
  /** Lines that went to standard output, without the last line's end. */
  readonly output: string;
  readonly errors: string;
}

/**
 * Runs a command within this process and gives what it wrote. One at a time: what anybody else writes meanwhile is
 * taken for its own.
 */
export async function runCommand(
  command: RunCommand,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CommandEnd> {
  const written = { output: '', errors: '' };
  const restore = [
    divert(process.stdout, (text) => {
      written.output += text;
    }),
    divert(process.stderr, (text) => {
      written.errors += text;
    }),
  ];
  try {
    const code = await command(args, env);
    return { code, output: written.output.replace(/\n$/, ''), errors: written.errors };
  } finally {
    for (const undo of restore) undo();
  }
}

function divert(stream: NodeJS.WriteStream, take: (text: string) => void): () => void {
  const { write } = stream;
  stream.write = (text: string | Uint8Array) => {
    take(String(text));
    return true;
  };
  return () => {
    stream.write = write;
  };
}
