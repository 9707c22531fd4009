/** Mocha root hooks and global set-up; see .mocharc.json. */
export const mochaHooks = {};
