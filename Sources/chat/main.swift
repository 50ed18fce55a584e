import DuetCommandLine

run(ChatOptions.command, ChatProgram.run)
