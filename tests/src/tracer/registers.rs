//! The registers of a stopped thread: which call, its arguments, its result. The only place that knows the processor.

use nix::libc::user_regs_struct;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// The registers of a thread that stands at the beginning or the end of a call.
pub(super) struct Registers(user_regs_struct);

impl Registers {
    pub(super) fn of(thread: Pid) -> nix::Result<Registers> {
        ptrace::getregs(thread).map(Registers)
    }
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    /// The number of the call.
    pub(super) fn number(&self) -> i64 {
        self.0.orig_rax.cast_signed()
    }

    /// An argument, from 0.
    pub(super) fn argument(&self, index: usize) -> u64 {
        let registers = &self.0;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9][index]
    }

    /// What the call gave back.
    pub(super) fn result(&self) -> i64 {
        self.0.rax.cast_signed()
    }

    /// At the beginning of a call: it does not take place.
    pub(super) fn skip(&mut self, thread: Pid) -> nix::Result<()> {
        self.0.orig_rax = u64::MAX;
        ptrace::setregs(thread, self.0)
    }

    /// At the end of a call: it gave this back.
    pub(super) fn set_result(&mut self, thread: Pid, result: i64) -> nix::Result<()> {
        self.0.rax = result.cast_unsigned();
        ptrace::setregs(thread, self.0)
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    /// The number of the call.
    pub(super) fn number(&self) -> i64 {
        self.0.regs[8].cast_signed()
    }

    /// An argument, from 0.
    pub(super) fn argument(&self, index: usize) -> u64 {
        self.0.regs[index]
    }

    /// What the call gave back.
    pub(super) fn result(&self) -> i64 {
        self.0.regs[0].cast_signed()
    }

    /// At the beginning of a call: it does not take place.
    #[expect(unsafe_code, reason = "nix has no call that sets the number of a system call")]
    pub(super) fn skip(&mut self, thread: Pid) -> nix::Result<()> {
        const NT_ARM_SYSTEM_CALL: usize = 0x404;
        let mut number = -1_i32;
        let mut data = nix::libc::iovec { iov_base: (&raw mut number).cast(), iov_len: std::mem::size_of_val(&number) };
        let (request, pid) = (nix::libc::PTRACE_SETREGSET, thread.as_raw());
        // SAFETY: `data` and `number` outlive the call, which reads them.
        let done = unsafe { nix::libc::ptrace(request, pid, NT_ARM_SYSTEM_CALL, &raw mut data) };
        nix::errno::Errno::result(done).map(drop)
    }

    /// At the end of a call: it gave this back.
    pub(super) fn set_result(&mut self, thread: Pid, result: i64) -> nix::Result<()> {
        self.0.regs[0] = result.cast_unsigned();
        ptrace::setregs(thread, self.0)
    }
}
