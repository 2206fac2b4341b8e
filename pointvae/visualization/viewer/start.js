// The page begins.

const page = new Page();
document.documentElement.page = page; // for scripts
