/* Entry of every bare guest: from the state a boot protocol leaves to C code at CPL 3.
 *
 * Two protocols arrive here: PVH (32-bit, paging off, %ebx = hvm_start_info) and the Linux 64-bit
 * entry (long mode, %rsi = zero page). Both find the command line and go on to user mode: a KVM
 * without hardware virtualization runs CPL 0 in its instruction emulator, some thousand times slower
 * than CPL 3. For the same reason nothing is computed here: page tables and GDT are link-time
 * constants, and .bss relies on the loader (ELF: memory beyond p_filesz is zero).
 *
 * No IDT: an exception is a triple fault, which a monitor reports as a crash; interrupts stay masked.
 * Port I/O at CPL 3 is allowed twice, by IOPL 3 and by an empty permission bitmap in a TSS: an
 * emulating KVM may drop IOPL on the way to user mode and asks the bitmap. */

#define START_INFO_CMDLINE 24   /* hvm_start_info.cmdline_paddr (PVH boot ABI) */
#define ZERO_PAGE_CMDLINE 0x228 /* setup_header.cmd_line_ptr (Linux x86 boot protocol) */
#define KERNEL_CS 0x08
#define USER_DS 0x13 /* RPL 3 */
#define USER_CS 0x1b
#define TSS_SELECTOR 0x20
#define TSS_SIZE 0x68
#define TSS_BITMAP_OFFSET 102
#define USER_RFLAGS 0x3002 /* IOPL 3, IF clear */
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define CR4_PAE 0x20
#define CR0_PE_PG 0x80000001
#define PTE_USER_TABLE 0x27 /* present, writable, user, accessed */
#define PTE_USER_2M 0xe7    /* ... and dirty, large: no accessed/dirty updates at run time */

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18 /* name size, value size, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad pvh_start

    .section .text.start, "ax"
    .code32
    .globl pvh_start
pvh_start:
    movl START_INFO_CMDLINE(%ebx), %esi
    lgdt gdt_pointer
    movl $pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    wrmsr
    movl %cr0, %eax
    orl $CR0_PE_PG, %eax
    movl %eax, %cr0
    ljmp $KERNEL_CS, $to_user

    .code64
    .globl linux64_start
linux64_start:
    movl ZERO_PAGE_CMDLINE(%rsi), %esi
    lgdt gdt_pointer
    movl $pml4, %eax
    movq %rax, %cr3

to_user: /* %esi = command line */
    movl $tss, %eax
    movw %ax, tss_descriptor + 2
    shrl $16, %eax
    movb %al, tss_descriptor + 4
    movb %ah, tss_descriptor + 7
    movw $TSS_SIZE, tss + TSS_BITMAP_OFFSET
    movl $TSS_SELECTOR, %eax
    ltr %ax
    movl $stack_top, %esp
    pushq $USER_DS
    pushq $stack_top
    pushq $USER_RFLAGS
    pushq $USER_CS
    pushq $user_start
    iretq

user_start:
    movl %esi, %edi
    xorl %ebp, %ebp
    call bare_start
    ud2

    .section .tables, "aw"
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 64-bit code, DPL 0 */
    .quad 0x00cff3000000ffff /* data, DPL 3 */
    .quad 0x00affb000000ffff /* 64-bit code, DPL 3 */
tss_descriptor: /* 16 bytes; byte granular, base filled in at start */
    .word TSS_SIZE + 0x2000, 0
    .byte 0, 0x89, 0, 0
    .quad 0
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .quad gdt

    /* The first 4 GiB map to themselves for user mode: RAM below the hole, every register window. */
    .balign 4096
    .globl pml4
pml4:
    .quad pdpt + PTE_USER_TABLE
    .fill 511, 8, 0
pdpt:
    .quad page_directories + PTE_USER_TABLE
    .quad page_directories + 0x1000 + PTE_USER_TABLE
    .quad page_directories + 0x2000 + PTE_USER_TABLE
    .quad page_directories + 0x3000 + PTE_USER_TABLE
    .fill 508, 8, 0
page_directories:
    .set address, 0
    .rept 2048
    .quad address + PTE_USER_2M
    .set address, address + 0x200000
    .endr

    .bss
    .balign 4096
tss: /* zero but for the offset of the permission bitmap, whose zeros allow every port */
    .fill TSS_SIZE + 0x2000 + 1, 1, 0
    .balign 16
    .fill 0x4000, 1, 0
stack_top:

    .section .note.GNU-stack, "", @progbits
